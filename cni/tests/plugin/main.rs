//! The real binary, driven as a runtime drives it: environment and stdin in, stdout and an exit
//! status out. On the agent's side of the socket sits a scripted one, since what is tested here
//! is what the plugin says and when, down to hang-ups in the middle of a call.

mod check;
mod commands;
mod concurrency;
mod config;
mod environment;
mod libcni;
mod runtime;
mod scripted_agent;
mod static_binary;
mod waiting;
