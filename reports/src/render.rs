//! The documents: one file a format, each drawn from a verdict and the facts, deciding nothing.

pub mod csv;
pub mod hlog;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod plot;
pub mod text;
