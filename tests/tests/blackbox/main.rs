//! The black-box tests, in one binary so that they link once. A module per chapter.

mod bodies;
mod discovery;
mod errors;
mod management;
mod names_and_paths;
mod pull;
mod push;
mod reads;
mod uploads;
