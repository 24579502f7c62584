//! The route group `discovery` as a Lambda function.

fn main() -> std::process::ExitCode {
    roadstead_lambda::serve(roadstead_discovery::router)
}
