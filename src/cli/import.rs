//! `keybroker import`
//!
//! The file is read twice, a line at a time: the first pass checks every row, the second carries out
//! those that are right. Rows that are done are noted in a journal beside the file.

mod journal;
mod lines;
mod progress;
mod refused;
mod row;
mod survey;
mod work;

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, anyhow};
use clap::Args;
use tokio::time::Instant;

use self::{
    journal::Journal,
    lines::Lines,
    progress::Progress,
    refused::Refused,
    survey::{Survey, survey},
    work::{Counts, Work},
};
use super::{Failure, announce};
use crate::{
    app::import,
    config::{ServeFlags, Settings},
    domain::clock::SystemRandom,
    telemetry,
};

/// Store or adopt many connections, from a file of JSON lines.
///
/// Each line is {"org", "connection", "provider", "credentials", "label"}. The credentials are stored; a row
/// without them adopts what the store holds at the connection's name, as an app has written it itself.
/// The label may be left out.
///
/// Every row is checked before the first one is carried out. One that can't be imported is named by its
/// line, and the others go on; FILE.refused.jsonl lists them, or FILE.dry-run.refused.jsonl. What is done is
/// noted in FILE.progress: an import that was interrupted goes on where it was when it is run again. Keys
/// are not tried with their providers; the service does that later. It may run meanwhile.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// The rows. It is read twice, so it can't be standard input.
    #[arg(value_name = "FILE.jsonl")]
    file: PathBuf,

    /// Only check the rows. Of the settings it takes none but --providers-file, and opens neither the
    /// database nor the store.
    #[arg(long)]
    dry_run: bool,

    /// Begin with the first row, whatever an earlier run has done.
    #[arg(long)]
    restart: bool,

    #[command(flatten)]
    flags: Box<ServeFlags>,
}

impl Import {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let log = &self.flags.log;
        // A line for each row would drown the rest, and the audit log has them.
        telemetry::start_logging(&format!("keybroker::broker::write=warn,{}", log.log), log.log_format)
            .map_err(|e| Failure::Usage(format!("KEYBROKER_LOG is not a filter: {e}")))?;
        let began = Instant::now();
        let settings = if self.dry_run { None } else { Some(self.flags.settings()?) };
        let input = open(&self.file)?;
        // It locks out another import, before that could lose what this one writes.
        let mut journal = self.journal(settings.as_ref())?;
        let mut refused = Refused::new(&self.refused_file())?;
        let catalogue = import::catalogue(&self.flags.providers.settings()?)?;
        let survey = survey(Lines::new(input), &catalogue, &journal, &mut refused)?;
        eprintln!("{}", plan(&survey));

        let Some(settings) = settings else { return self.conclude(&refused, &journal, None) };
        let (mut counts, mut ended_early) = (Counts::default(), None);
        if survey.to_do() > 0 {
            let import = import::Import::open(&settings, Arc::clone(&catalogue)).await?;
            let mut progress = Progress::new(survey.to_do());
            let work = Work {
                lines: Lines::new(open(&self.file)?),
                catalogue: &catalogue,
                survey: &survey,
                importer: &import.importer,
                at_once: import.at_once,
                journal: &mut journal,
                refused: &mut refused,
                progress: &mut progress,
            };
            let result = work.run().await;
            progress.finish();
            import.close().await;
            (counts, ended_early) = result?;
        }
        announce(&summary(&survey, &refused, &counts, began.elapsed()));
        let concluded = self.conclude(&refused, &journal, ended_early);
        if concluded.is_ok() {
            journal.close()?;
        }
        concluded
    }

    fn beside(&self, extension: &str) -> PathBuf {
        self.file.with_added_extension(extension)
    }

    fn refused_file(&self) -> PathBuf {
        // A dry run locks nothing: it may stand beside an import.
        self.beside(if self.dry_run { "dry-run.refused.jsonl" } else { "refused.jsonl" })
    }

    /// What is done, by an earlier run into the same database; without settings nothing is.
    fn journal(&self, settings: Option<&Settings>) -> Result<Journal, Failure> {
        let Some(settings) = settings else { return Ok(Journal::of_dry_run(&SystemRandom)) };
        let target = format!("{} {}", settings.prefix, settings.database_url.0);
        Ok(Journal::open(&self.beside("progress"), &target, self.restart, &SystemRandom)?)
    }

    fn conclude(
        &self,
        refused: &Refused,
        journal: &Journal,
        ended_early: Option<String>,
    ) -> Result<(), Failure> {
        let mut text = Vec::new();
        if let Some(why) = ended_early {
            text.push(format!("{why}\nrun the same command again to go on: it skips what is done"));
        }
        if refused.count() > 0 {
            let (rows, file) = (rows(refused.count()), self.refused_file());
            let (refused, file) = (file.display(), self.file.display());
            text.push(format!(
                "refused: {rows}; {refused} says why; mend them in {file} and import it again"
            ));
        }
        if !text.is_empty() && !journal.is_empty() {
            let progress = self.beside("progress");
            let progress = progress.display();
            text.push(format!(
                "{progress} knows what is done, and is not needed any more when nothing is left: delete it with the \
                 rows, since weak values could be guessed with its help"
            ));
        }
        if text.is_empty() { Ok(()) } else { Err(anyhow!(text.join("\n")).into()) }
    }
}

/// Opens a file that can be read twice.
fn open(path: &Path) -> Result<File, Failure> {
    let shown = path.display();
    if path == "-" {
        return Err(Failure::Usage(
            "rows can't come from standard input, since they are read twice; write them to a file".into(),
        ));
    }
    let file = File::open(path).map_err(|e| Failure::Usage(format!("{shown} can't be opened: {e}")))?;
    let about = file.metadata().with_context(|| format!("{shown} can't be looked at"))?;
    if about.is_file() {
        Ok(file)
    } else {
        Err(Failure::Usage(format!("{shown} is no regular file; it must be one, since it is read twice")))
    }
}

fn plan(survey: &Survey) -> String {
    let Survey { rows: all, done, refused } = survey;
    match all {
        0 => "there are no rows in the file".to_owned(),
        _ => {
            format!("{}: {} to do, {done} done before, {} refused", rows(*all), survey.to_do(), refused.len())
        }
    }
}

fn rows(count: u64) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}

fn summary(survey: &Survey, refused: &Refused, counts: &Counts, time: Duration) -> String {
    let Counts { created, updated, unchanged, adopted } = counts;
    let (skipped, refused) = (survey.done, refused.count());
    let left = survey.rows.saturating_sub(skipped + refused + counts.total());
    let left = if left > 0 { format!(", {left} left") } else { String::new() };
    format!(
        "{created} created, {updated} updated, {unchanged} unchanged, {adopted} adopted, \
         {skipped} skipped as done before, {refused} refused{left}, in {} s",
        time.as_secs()
    )
}
