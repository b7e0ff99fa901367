//! The tests of the whole: the real program against real services. `tests/run` installs those.
#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed, and says where")]

mod support;

mod authorisation;
mod aws_store;
mod bad_input;
mod canary;
mod commands;
mod concurrency;
mod crash;
mod doctor;
mod events;
mod iam;
mod import;
mod layers;
mod lookups;
mod main_job;
mod outage;
mod plans;
mod portal;
mod replicas;
mod rest;
mod sessions;
mod tokens;
mod vault;
mod verification;
