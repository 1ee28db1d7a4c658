//! temp
pub mod frame;
pub mod log;
