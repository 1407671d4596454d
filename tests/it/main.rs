//! Tests that speak to the running server from outside. Run them by `cargo xtask test`, which starts the
//! PostgreSQL and the Redis that half of them need.

#[cfg(not(feature = "failpoints"))]
compile_error!("run the tests by `cargo xtask test`, or with `--features accounts-center/failpoints`");

mod support;

mod account;
mod activity;
mod answers;
mod cache;
mod cancelling;
mod command_line;
mod connections;
mod deploys;
mod erasing;
mod faults;
mod fence;
mod gateway;
mod get;
mod history;
mod housekeeping;
mod http;
mod job_ends;
mod jobs;
mod late_commits;
mod link_graph;
mod linking;
mod migrations;
mod min_version;
mod node_client;
mod oauth;
mod oauth_attacks;
mod oauth_browser;
mod oauth_faults;
mod operating;
mod path;
mod polling;
mod proving_again;
mod redis_kinds;
mod refreshing;
mod reproving;
mod schema;
mod security;
mod seeding;
mod signing_in;
mod slow_clients;
mod step_up;
mod subscriptions;
mod told;
mod tombstones;
mod unconfigured;
mod unlinking;
mod unlinking_faults;
mod unreadable_jobs;
mod webhooks;
mod websocket;
