//! The whole registry as a Lambda function.

fn main() -> std::process::ExitCode {
    roadstead_lambda::serve(roadstead_combined::router)
}
