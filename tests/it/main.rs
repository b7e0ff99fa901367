//! The tests of the whole: the real program against real services. `tests/run` installs those.

mod support;

mod authorisation;
mod bad_input;
mod layers;
mod main_job;
mod tokens;
mod aws_store;
mod canary;
mod concurrency;
mod crash;
