//! The second pass: the rows are carried out, so many at a time.

use std::{io::Read, pin::pin};

use anyhow::Context;
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;

use super::{
    journal::{Fingerprint, Journal},
    lines::Lines,
    progress::{EVERY, Progress},
    refused::Refused,
    row::{self, Refusal},
    survey::Survey,
};
use crate::{
    broker::import::{CheckedRow, Imported, Importer, NotImported},
    cli::until_told_to_stop,
    domain::provider::Catalogue,
};

/// What the second pass works with.
pub(super) struct Work<'a, R> {
    pub lines: Lines<R>,
    pub catalogue: &'a Catalogue,
    pub survey: &'a Survey,
    pub importer: &'a Importer,
    /// How many rows may be under way at a time.
    pub at_once: usize,
    pub journal: &'a mut Journal,
    pub refused: &'a mut Refused,
    pub progress: &'a mut Progress,
}

/// How many rows ended how.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub created: u64,
    pub updated: u64,
    pub unchanged: u64,
    pub adopted: u64,
}

impl Counts {
    fn add(&mut self, imported: Imported) {
        *match imported {
            Imported::Created => &mut self.created,
            Imported::Updated => &mut self.updated,
            Imported::Unchanged => &mut self.unchanged,
            Imported::Adopted => &mut self.adopted,
        } += 1;
    }

    pub(super) fn total(&self) -> u64 {
        self.created + self.updated + self.unchanged + self.adopted
    }
}

/// A row that is to be carried out.
struct Task {
    line: u64,
    row: CheckedRow,
    connection: Fingerprint,
    fingerprint: Fingerprint,
}

impl<R: Read> Work<'_, R> {
    /// Carries the rows out. If it ends before the last one, the text says why.
    pub(super) async fn run(mut self) -> anyhow::Result<(Counts, Option<String>)> {
        let (stop, importer) = (CancellationToken::new(), self.importer);
        let (mut counts, mut ended_early, mut all_begun) = (Counts::default(), None, false);
        let mut told_to_stop = pin!(until_told_to_stop());
        let mut ticks = interval_at(Instant::now() + EVERY, EVERY);
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < self.at_once && !all_begun && ended_early.is_none() {
                match self.next()? {
                    Some(task) => under_way.push(carry_out(importer, task, &stop)),
                    None => all_begun = true,
                }
            }
            if under_way.is_empty() {
                return Ok((counts, ended_early));
            }
            tokio::select! {
                Some((task, result)) = under_way.next() => {
                    if let Some(why) = self.note(&task, result, &mut counts)? {
                        stop.cancel();
                        ended_early.get_or_insert(why);
                    }
                }
                told = &mut told_to_stop, if !stop.is_cancelled() => {
                    told?;
                    self.progress.say("stopping, after what is under way");
                    stop.cancel();
                    ended_early.get_or_insert_with(|| "stopped".to_owned());
                }
                _ = ticks.tick() => self.progress.tell(),
            }
        }
    }

    /// The next row to be carried out.
    fn next(&mut self) -> anyhow::Result<Option<Task>> {
        while let Some(line) = self.lines.next().context("the file can't be read")? {
            if self.survey.refused.contains(&line.number) {
                continue;
            }
            match row::read(line.text, self.catalogue) {
                Ok(row) => {
                    let connection = self.journal.connection(row.name());
                    let fingerprint = self.journal.row(line.text.unwrap_or_default());
                    if !self.journal.is_done(connection, fingerprint) {
                        return Ok(Some(Task { line: line.number, row, connection, fingerprint }));
                    }
                }
                // Someone changed the file since the first pass.
                Err(refusal) => {
                    if let Some(text) = self.refused.note(line.number, &refusal)? {
                        self.progress.say(&text);
                    }
                }
            }
        }
        Ok(None)
    }

    /// Notes how a row ended; the text says why the import can't go on.
    fn note(
        &mut self,
        task: &Task,
        result: Result<Imported, NotImported>,
        counts: &mut Counts,
    ) -> anyhow::Result<Option<String>> {
        match result {
            Ok(imported) => {
                self.journal.note(task.connection, task.fingerprint)?;
                counts.add(imported);
                self.progress.advance();
            }
            Err(NotImported::Refused(reason)) => {
                let name = task.row.name();
                let (org, connection) = (Some(name.org().clone()), Some(name.connection().clone()));
                if let Some(text) = self.refused.note(task.line, &Refusal { org, connection, reason })? {
                    self.progress.say(&text);
                }
                self.progress.advance();
            }
            Err(NotImported::GaveUp(reason)) => return Ok(Some(reason)),
        }
        Ok(None)
    }
}

async fn carry_out(
    importer: &Importer,
    task: Task,
    stop: &CancellationToken,
) -> (Task, Result<Imported, NotImported>) {
    let result = importer.carry_out(&task.row, stop).await;
    (task, result)
}
