//! `isochrome adopt`: a data directory for servers that hold data already.

use std::sync::Arc;

use super::{AdoptArgs, Exit, tell};
use crate::chroma::ids::InstanceId;
use crate::config::Config;
use crate::instances::client::Instance;
use crate::repair::adopt::{Plan, Wish};

/// Shows what would be adopted, and does it where `--yes` is given and nothing is left open.
pub async fn adopt(config: &Config, args: &AdoptArgs) -> Exit {
    tell(run(config, args).await)
}

#[expect(
    clippy::print_stdout,
    reason = "it takes long, and the person who started it wants to see how far it is"
)]
async fn run(config: &Config, args: &AdoptArgs) -> Result<String, String> {
    let data_dir = config.data_dir.display();
    if config.instances.is_empty() {
        return Err("name the servers that hold the data: --instance NAME=URL, for each of them".to_owned());
    }
    if config.data_dir.join("state.db").exists() {
        return Err(format!(
            "the data directory {data_dir} holds a log already: start with `isochrome serve`, or name an empty one"
        ));
    }
    let named = |(place, configured): (u8, &crate::config::InstanceConfig)| {
        Arc::new(Instance::new(InstanceId(place), configured.name.clone(), configured.url.authority()))
    };
    let instances = (0..).zip(&config.instances).map(named).collect();
    let wish = Wish { tenants: args.tenants.clone(), source: args.source.clone(), take_over: args.take_over };
    let plan = Plan::make(instances, &wish, |line| println!("  {line}")).await;
    let plan = plan.map_err(|error| error.to_string())?;
    plan.notes.iter().for_each(|note| println!("{note}"));
    let found = format!(
        "{} collections, {} of them the same on all instances; {} records compared",
        plan.collections(),
        plan.same,
        plan.records
    );
    if !plan.differences.is_empty() {
        return Err(format!(
            "{found}\n{}\nCopies differ, and nothing was changed. --source INSTANCE chooses the one whose copies count; \
             the others are then replaced by copies of these after the start",
            plan.differences.join("\n")
        ));
    }
    if !args.yes {
        return Ok(format!(
            "{found}\nNothing was changed. While nobody writes to the servers, --yes makes the data directory {data_dir}"
        ));
    }
    plan.carry_out(&config.data_dir).await.map_err(|error| error.to_string())?;
    Ok(format!(
        "{found}\nAdopted; start with isochrome serve --data-dir {data_dir}, and let clients go there only"
    ))
}
