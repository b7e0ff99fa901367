//! The tests of the whole: the real program against real services. `tests/run` installs those.

mod support;

mod main_job;
