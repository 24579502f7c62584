//! The route group `base` as a Lambda function.

fn main() -> std::process::ExitCode {
    roadstead_lambda::serve(roadstead_base::router)
}
