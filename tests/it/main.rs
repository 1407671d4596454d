//! Tests that speak to the running server from outside. Run them by `cargo xtask test`, which starts the
//! PostgreSQL and the Redis that half of them need.

#[cfg(not(feature = "failpoints"))]
compile_error!("run the tests by `cargo xtask test`, or with `--features accounts-center/failpoints`");

mod support;

mod account;
mod activity;
mod alerts;
mod answers;
mod cache;
mod cancelling;
mod claiming;
mod command_line;
mod connections;
mod containing;
mod cookies;
mod deploys;
mod erasing;
mod faults;
mod fence;
mod following;
mod gateway;
mod get;
mod history;
mod housekeeping;
mod http;
mod job_ends;
mod jobs;
mod late_commits;
mod limits;
mod link_graph;
mod linking;
mod migrations;
mod min_version;
mod node_client;
mod nodes;
mod operating;
mod path;
mod polling;
mod previews;
mod proving_again;
mod redis_kinds;
mod refreshing;
mod reproving;
mod schema;
mod security;
mod seeding;
mod sessions;
mod sign_in_methods;
mod signing_in;
mod signing_keys;
mod slow_clients;
mod step_up;
mod subscriptions;
mod suggestions;
mod told;
mod tombstones;
mod unconfigured;
mod unlinking;
mod unlinking_faults;
mod unreadable_jobs;
mod webhooks;
mod websocket;
