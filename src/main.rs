//! The program: `accounts-center serve` and its siblings.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use accounts_center::command::{Deed, Replay};
use accounts_center::gateway::contract::Contract;
use accounts_center::ids::{NodeId, NodeKind};
use accounts_center::seed::Plan;
use accounts_center::{command, store};
use accounts_center_allocator::Allocator;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// The Accounts Center: one GraphQL graph for a person's linked profiles.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Subcommand)]
enum Command {
    /// Serve everything in one process; what happens without a command.
    Serve(Serve),
    /// Do only background work, behind others that serve; needs PostgreSQL and Redis.
    Worker(Settings),
    /// Serve only the federation engine; no database.
    Gateway {
        /// The supergraph, as a composition tool writes it: a file, or an http:// or https:// URL. Absent, it is composed of
        /// the subgraphs of the configuration.
        #[arg(long)]
        supergraph: Option<String>,
        /// Where to listen, instead of `http.listen`; port 0 takes a free one.
        #[arg(long)]
        listen: Option<SocketAddr>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Serve only the sandbox platforms, as a process of their own.
    Sandbox {
        /// Where to listen; port 0 takes a free one.
        #[arg(long, default_value = "127.0.0.1:4100")]
        listen: SocketAddr,
        #[command(flatten)]
        settings: Settings,
    },
    /// Move the database's schema.
    Migrate {
        #[command(subcommand)]
        direction: Direction,
        #[command(flatten)]
        settings: Settings,
    },
    /// Look at the jobs that have failed for good, and try them anew.
    Jobs {
        #[command(subcommand)]
        action: Jobs,
        #[command(flatten)]
        settings: Settings,
    },
    /// Mint a token for a federation router: with it in `Accounts-Center-Router` it may ask for entities.
    Token {
        /// What the router is called.
        #[arg(long)]
        router: String,
        /// How long it is good.
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=366))]
        days: u32,
        #[command(flatten)]
        settings: Settings,
    },
    /// Show, lock, unlock or erase an account; recorded in its activity. On SQLite the server has to be stopped.
    Account {
        #[command(subcommand)]
        action: Account,
        /// Who does it, for the record; absent, the user's name.
        #[arg(long, global = true)]
        operator: Option<String>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Switch platforms off and on again, in all processes that run.
    Switch {
        #[command(subcommand)]
        action: Switch,
        /// Who does it, for the record; absent, the user's name.
        #[arg(long, global = true)]
        operator: Option<String>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Fill the database with generated accounts, for demonstrations and load runs; not in production mode.
    Seed {
        /// How many accounts. Those of the same seed that are there already are left as they are.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
        accounts: u32,
        /// The same seed makes the same accounts; another one makes others.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        #[command(flatten)]
        settings: Settings,
    },
    /// Print the graph's schema, check it against another one, compose the supergraph, or print a plan over one.
    Schema {
        #[command(subcommand)]
        action: Schema,
    },
}

#[derive(Args)]
struct Serve {
    /// Where to listen; overrides http.listen. Port 0 takes a free one.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// What this process leaves to others, with commas between.
    #[arg(long, value_delimiter = ',', value_name = "PARTS")]
    without: Vec<Part>,
    #[command(flatten)]
    settings: Settings,
}

/// What a serving process may leave to others.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Background work: `accounts-center worker` does it.
    Worker,
    /// The gateway: it is the accounts graph alone, behind an `accounts-center gateway` or somebody else's router.
    Gateway,
}

#[derive(Args)]
struct Settings {
    /// A configuration file; `config.default.toml` lists all settings.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The folder for SQLite and the sandbox; overrides data.dir.
    #[arg(long)]
    data: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Direction {
    /// To the newest schema.
    Up,
    /// The newest migrations back.
    Down {
        /// How many.
        #[arg(long, default_value_t = 1)]
        steps: u32,
    },
    /// Which migrations the database has.
    Status,
    /// Renew what tells the database from older copies of itself: to be run after a backup was restored, or a
    /// standby that lagged behind was promoted.
    NewEpoch,
}

#[derive(Subcommand)]
enum Jobs {
    /// A line for each dead job, oldest death first: id, kind, stream, attempts, when it died, why; then their number.
    List {
        /// Only those of this kind.
        #[arg(long)]
        kind: Option<String>,
    },
    /// Let dead jobs be run again, at once and with all their attempts.
    #[command(group(ArgGroup::new("which").required(true).args(["ids", "all"])))]
    Replay {
        /// The ids of dead jobs.
        #[arg(value_parser = job_id)]
        ids: Vec<Uuid>,
        /// All dead jobs.
        #[arg(long)]
        all: bool,
        /// Of these only those of this kind.
        #[arg(long, conflicts_with = "ids")]
        kind: Option<String>,
    },
}

#[derive(Subcommand)]
enum Account {
    /// What an operator may see of it: no names, and handles masked.
    Show {
        #[arg(value_parser = account_id)]
        account: Uuid,
    },
    /// End all its sessions, and let nobody sign in.
    Lock {
        #[arg(value_parser = account_id)]
        account: Uuid,
    },
    /// Let people sign in again.
    Unlock {
        #[arg(value_parser = account_id)]
        account: Uuid,
    },
    /// Erase it now and for good.
    Erase {
        #[arg(value_parser = account_id)]
        account: Uuid,
        /// The same id once more.
        #[arg(long, value_name = "ACCOUNT", value_parser = account_id)]
        yes: Option<Uuid>,
    },
}

#[derive(Subcommand)]
enum Switch {
    /// What is off, since when and by whom.
    List,
    /// Prove nothing at a platform any more, and do not call it; its webhooks are kept for later.
    Off { platform: String },
    /// Let it go on.
    On { platform: String },
}

#[derive(Subcommand)]
enum Schema {
    /// Print it as SDL.
    Print {
        /// As a Federation v2 subgraph.
        #[arg(long, conflicts_with_all = ["supergraph", "exclude_tag", "include_tag"])]
        subgraph: bool,
        /// That of the example subgraph of development mode.
        #[arg(long, conflicts_with_all = ["subgraph", "supergraph", "exclude_tag", "include_tag"])]
        example: bool,
        /// What clients see of this supergraph, instead of the accounts graph alone.
        #[arg(long, value_name = "FILE")]
        supergraph: Option<PathBuf>,
        /// Leave out what bears this tag (`@tag(name:)`), and what leads to nothing else; may be given several times.
        #[arg(long, value_name = "TAG")]
        exclude_tag: Vec<String>,
        /// Leave out what bears none of these tags.
        #[arg(long, value_name = "TAG")]
        include_tag: Vec<String>,
    },
    /// Fail if replacing the schema in FILE by this one would break a client.
    Check {
        /// SDL of the schema that clients use now.
        #[arg(long, value_name = "FILE")]
        against: PathBuf,
        /// What clients see of this supergraph, instead of the accounts graph alone.
        #[arg(long, value_name = "FILE")]
        supergraph: Option<PathBuf>,
    },
    /// Print the supergraph of the accounts graph and the subgraphs of the configuration, or what is in the way.
    Compose {
        /// A configuration file; `config.default.toml` lists all settings.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Print how a gateway would answer an operation over its subgraphs.
    Plan {
        /// The supergraph, as a composition tool writes it.
        #[arg(long, value_name = "FILE")]
        supergraph: PathBuf,
        /// The operation itself, a file that holds it, or `-` for standard input.
        operation: String,
        /// Which one, of several in the document.
        #[arg(long, value_name = "NAME")]
        operation_name: Option<String>,
        /// Its variables in JSON, for what `@skip` and `@include` depend on.
        #[arg(long, value_name = "JSON")]
        variables: Option<String>,
    },
}

fn main() -> ExitCode {
    store::failpoint::set_up();
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::anyhow!("no runtime: {error}")),
    };
    match runtime.block_on(run(cli)) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

#[expect(clippy::print_stderr, reason = "the one line for whoever started the program")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("accounts-center: {error:#}");
    ExitCode::FAILURE
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(Serve { listen, without, settings }) => {
            let mut config = settings.load()?;
            if let Some(listen) = listen {
                config.http.listen = listen;
            }
            let mut config = config.checked()?;
            if without.contains(&Part::Gateway) {
                config.gateway.leave_out();
                config.demo.subgraph = false;
            }
            command::serve(config, without.contains(&Part::Worker)).await?;
        }
        Command::Worker(settings) => command::worker(settings.load()?.checked()?).await?,
        Command::Gateway { supergraph, listen, settings } => {
            accounts_center_allocator::give_back_at_once();
            let config = settings.load()?;
            let listen = listen.unwrap_or(config.http.listen);
            command::gateway(config, supergraph, listen).await?;
        }
        Command::Sandbox { listen, settings } => {
            command::sandbox(settings.load()?.checked()?, listen).await?;
        }
        Command::Migrate { direction, settings } => {
            let config = settings.load()?.checked()?;
            match direction {
                Direction::Up => command::migrate_up(&config).await?,
                Direction::Down { steps } => command::migrate_down(&config, steps).await?,
                Direction::NewEpoch => command::migrate_new_epoch(&config).await?,
                Direction::Status => command::migrate_status(&config).await?,
            }
        }
        Command::Jobs { action, settings } => {
            let config = settings.load()?.checked()?;
            match action {
                Jobs::List { kind } => command::list_dead_jobs(&config, kind.as_deref()).await?,
                Jobs::Replay { all: true, kind, .. } => {
                    command::replay_jobs(&config, Replay::All { kind }).await?;
                }
                Jobs::Replay { ids, .. } => command::replay_jobs(&config, Replay::These(ids)).await?,
            }
        }
        Command::Token { router, days, settings } => {
            command::mint_router_token(&settings.load()?.checked()?, &router, days).await?;
        }
        Command::Account { action, operator, settings } => {
            let (account, deed) = match action {
                Account::Show { account } => (account, Deed::Show),
                Account::Lock { account } => (account, Deed::Lock),
                Account::Unlock { account } => (account, Deed::Unlock),
                Account::Erase { account, yes } => (account, Deed::Erase { confirmed: yes }),
            };
            let operator = operator_name(operator)?;
            command::administer(settings.load()?.checked()?, account, deed, &operator).await?;
        }
        Command::Switch { action, operator, settings } => {
            let config = settings.load()?.checked()?;
            match action {
                Switch::List => command::list_switches(&config).await?,
                Switch::Off { platform } => {
                    command::switch_platform(&config, &platform, false, &operator_name(operator)?).await?;
                }
                Switch::On { platform } => {
                    command::switch_platform(&config, &platform, true, &operator_name(operator)?).await?;
                }
            }
        }
        Command::Seed { accounts, seed, settings } => {
            command::seed(&settings.load()?.checked()?, Plan { accounts, seed }).await?;
        }
        Command::Schema {
            action: Schema::Print { subgraph, example, supergraph, exclude_tag, include_tag },
        } => {
            let contract = Contract { exclude: exclude_tag, include: include_tag };
            if supergraph.is_none() && contract.is_empty() {
                command::print_schema(subgraph, example).await?;
            } else {
                command::print_contract(supergraph.as_deref(), &contract).await?;
            }
        }
        Command::Schema { action: Schema::Check { against, supergraph } } => {
            return command::check_schema(&against, supergraph.as_deref()).await;
        }
        Command::Schema { action: Schema::Compose { config } } => {
            let config = accounts_center::config::Config::load(config.as_deref())?;
            return command::compose(&config).await;
        }
        Command::Schema { action: Schema::Plan { supergraph, operation, operation_name, variables } } => {
            let settings = accounts_center::config::Config::load(None)?.gateway.plans;
            let asked = (operation_name, variables.as_deref());
            command::print_plan(&supergraph, &operation, asked, &settings).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn job_id(text: &str) -> Result<Uuid, &'static str> {
    text.parse().map_err(|_| "a job's id is a UUID, as `jobs list` shows it")
}

fn account_id(text: &str) -> Result<Uuid, &'static str> {
    let id = NodeId::parse_as(NodeKind::Account, text).or_else(|| text.parse().ok());
    id.ok_or("an account's id is account_ and 32 hexadecimal digits, or its UUID")
}

/// Who an operator is, in one short line.
fn operator_name(given: Option<String>) -> anyhow::Result<String> {
    let name = given.or_else(|| std::env::var("USER").ok()).unwrap_or_default();
    let is_name = (1..=80).contains(&name.chars().count()) && !name.contains(char::is_control);
    anyhow::ensure!(is_name, "say who you are, in 1 to 80 characters: --operator NAME");
    Ok(name)
}

impl Settings {
    fn load(self) -> anyhow::Result<accounts_center::config::Config> {
        let mut config = accounts_center::config::Config::load(self.config.as_deref())?;
        if let Some(data) = self.data {
            config.data.dir = data;
        }
        Ok(config)
    }
}
