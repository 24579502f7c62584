//! The route group `blobs` as a Lambda function.

fn main() -> std::process::ExitCode {
    roadstead_lambda::serve(roadstead_blobs::router)
}
