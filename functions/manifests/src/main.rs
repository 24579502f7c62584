//! The route group `manifests` as a Lambda function.

fn main() -> std::process::ExitCode {
    roadstead_lambda::serve(roadstead_manifests::router)
}
