//! The route group `uploads` as a Lambda function.

fn main() -> std::process::ExitCode {
    roadstead_lambda::serve(roadstead_uploads::router)
}
