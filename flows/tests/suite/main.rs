//! What the compiler makes of states and changes, in text, in verdicts, in properties, and on a real switch.
#![allow(clippy::unwrap_used, reason = "tests")]

mod bench;
mod fixture;
mod fragments;
mod frames;
mod installed;
mod interpreter;
mod map;
mod patches;
mod properties;
mod random;
mod real_actions;
mod real_conntrack;
mod real_multipath;
mod real_services;
mod real_switch;
mod service_fixture;
mod service_fragments;
mod service_halves;
mod service_lab;
mod service_paths;
mod service_policies;
mod service_properties;
mod service_world;
mod switch;
mod tracking;
mod traffic;
mod verdicts;
mod world;
