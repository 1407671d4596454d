//! The federation gateway as a process, over subgraphs on real HTTP.

mod answers;
mod faults;
mod plan_command;
mod rows;
mod shop;
mod subgraph;
mod supergraphs;
