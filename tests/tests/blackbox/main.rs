//! The black-box tests, in one binary so that they link once. A module per chapter.

mod pull;
