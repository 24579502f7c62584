//! Maintenance as a scheduled Lambda function.

fn main() -> std::process::ExitCode {
    roadstead_lambda::on_schedule(roadstead_maintenance::run)
}
