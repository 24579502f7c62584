//! Calls to the table: reads that are consistent, writes that are done again until they are
//! done or refused.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, TransactWriteItem};
use roadstead_metadata::Error;
use uuid::Uuid;

use crate::expression::{Expression, both};
use crate::keys::Key;
use crate::row::{Attributes, Row};

#[derive(Clone, Debug)]
pub(crate) struct Table {
    client: Client,
    name: String,
}

/// Rows of one partition.
#[derive(Clone, Debug)]
pub(crate) struct Query<'a> {
    pub(crate) partition: String,
    /// Only those after this name.
    pub(crate) after: Option<&'a str>,
    /// Only those before this name, which is none that a row can have.
    pub(crate) before: Option<&'static str>,
    pub(crate) limit: usize,
    pub(crate) filter: Option<Expression>,
}

/// A name between those of canonical digests and those of aliases.
const BEHIND_SHA256: &str = "sha256;";

impl<'a> Query<'a> {
    pub(crate) fn all(partition: String) -> Self {
        Self {
            partition,
            after: None,
            before: None,
            limit: usize::MAX,
            filter: None,
        }
    }

    pub(crate) fn page(partition: String, page: roadstead_metadata::Page<'a>) -> Self {
        Self {
            after: page.after,
            limit: page.limit,
            ..Self::all(partition)
        }
    }

    /// Only rows that are named by a canonical digest, not those of aliases.
    pub(crate) fn canonical(self) -> Self {
        Self {
            before: Some(BEHIND_SHA256),
            ..self
        }
    }

    /// Only rows of aliases: the other algorithms are `sha384` and `sha512`.
    pub(crate) fn aliases(self) -> Self {
        Self {
            after: Some(BEHIND_SHA256),
            ..self
        }
    }

    /// The condition on the key, or `None` when no name can fulfil it.
    fn condition(&self) -> Option<Expression> {
        let pk = AttributeValue::S(self.partition.clone());
        let after = self.after.map(clipped).filter(|after| !after.is_empty());
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let condition = match (after, self.before) {
            (None, None) => Expression::new("#pk = :pk"),
            (Some(after), None) => {
                Expression::new("#pk = :pk AND #sk > :after").with(":after", text(after))
            }
            (None, Some(before)) => {
                Expression::new("#pk = :pk AND #sk < :before").with(":before", text(before))
            }
            (Some(after), Some(before)) if after < before => {
                // A key takes one condition on its sort part, and BETWEEN includes its ends.
                Expression::new("#pk = :pk AND #sk BETWEEN :from AND :before")
                    .with(":from", text(&format!("{after}\0")))
                    .with(":before", text(before))
            }
            (Some(_), Some(_)) => return None,
        };
        Some(condition.with(":pk", pk))
    }
}

/// A name to begin after, no longer than a sort key may be. All names of rows are shorter, so
/// the same come after it.
fn clipped(name: &str) -> &str {
    const LONGEST: usize = 1000;
    &name[..name.floor_char_boundary(LONGEST)]
}

/// Writes that take effect together or not at all.
#[derive(Debug, Default)]
pub(crate) struct Transaction(Vec<TransactWriteItem>);

/// Whether a write took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Outcome {
    Done,
    /// A condition did not hold.
    Refused,
}

/// The same items were changed by others each time.
#[derive(Debug, thiserror::Error)]
#[error("gave up after {ATTEMPTS} attempts, as others change the same items")]
pub(crate) struct Contention;

/// How often a write that others got in the way of is tried.
pub(crate) const ATTEMPTS: u32 = 12;

impl Table {
    pub(crate) fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    pub(crate) async fn get(&self, key: &Key) -> Result<Option<Row>, Error> {
        let get = self.client.get_item().table_name(&self.name);
        let get = get.set_key(Some(key.attributes())).consistent_read(true);
        let got = get.send().await.map_err(unavailable)?;
        Ok(got.item.map(Row::from))
    }

    pub(crate) async fn query(&self, query: Query<'_>) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        let Some(condition) = query.condition() else {
            return Ok(rows);
        };
        let filter = query.filter.clone().unwrap_or_default();
        let names = both(condition.names(), filter.names());
        let values = both(condition.values, filter.values);
        let mut start: Option<Attributes> = None;
        while rows.len() < query.limit {
            let call = self.client.query().table_name(&self.name);
            let call = call
                .key_condition_expression(&condition.text)
                .set_filter_expression(query.filter.as_ref().map(|filter| filter.text.clone()))
                .set_expression_attribute_names(names.clone())
                .set_expression_attribute_values(values.clone())
                .set_exclusive_start_key(start)
                .set_limit(limit(&query, rows.len()))
                .consistent_read(true);
            let page = call.send().await.map_err(unavailable)?;
            rows.extend(page.items.into_iter().flatten().map(Row::from));
            start = page.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                break;
            }
        }
        rows.truncate(query.limit);
        Ok(rows)
    }

    pub(crate) async fn put(&self, row: Row, condition: Expression) -> Result<Outcome, Error> {
        let condition = Condition::from(Some(condition));
        let put = self.client.put_item().table_name(&self.name);
        let put = put
            .set_item(Some(row.into_attributes()))
            .set_condition_expression(condition.text)
            .set_expression_attribute_names(condition.names)
            .set_expression_attribute_values(condition.values);
        let done = again(|| put.clone().send()).await?;
        Ok(done.map_or(Outcome::Refused, |_| Outcome::Done))
    }

    /// The row as the update leaves it; `None` when the condition does not hold.
    pub(crate) async fn update(
        &self,
        key: &Key,
        update: Expression,
        condition: Option<Expression>,
    ) -> Result<Option<Row>, Error> {
        let text = condition.as_ref().map(|condition| condition.text.clone());
        let condition = condition.unwrap_or_default();
        let names = both(update.names(), condition.names());
        let call = self.client.update_item().table_name(&self.name);
        let call = call
            .set_key(Some(key.attributes()))
            .update_expression(update.text)
            .set_condition_expression(text)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(both(update.values, condition.values))
            .return_values(ReturnValue::AllNew);
        let updated = again(|| call.clone().send()).await?;
        Ok(updated.map(|updated| Row::from(updated.attributes.unwrap_or_default())))
    }

    pub(crate) async fn delete(
        &self,
        key: &Key,
        condition: Option<Expression>,
    ) -> Result<Outcome, Error> {
        let condition = Condition::from(condition);
        let delete = self.client.delete_item().table_name(&self.name);
        let delete = delete
            .set_key(Some(key.attributes()))
            .set_condition_expression(condition.text)
            .set_expression_attribute_names(condition.names)
            .set_expression_attribute_values(condition.values);
        let done = again(|| delete.clone().send()).await?;
        Ok(done.map_or(Outcome::Refused, |_| Outcome::Done))
    }

    pub(crate) async fn commit(&self, transaction: Transaction) -> Result<Outcome, Error> {
        let Transaction(writes) = transaction;
        let writes: Vec<_> = writes
            .into_iter()
            .map(|write| in_table(write, &self.name))
            .collect();
        // A token lets DynamoDB tell a call that is sent again from a new one: where the answer to
        // the first was lost, the second is answered as the first, conditions and all.
        let mut token = Uuid::new_v4();
        for attempt in 0..ATTEMPTS {
            let call = self.client.transact_write_items();
            let call = call
                .client_request_token(token.to_string())
                .set_transact_items(Some(writes.clone()));
            let error = match call.send().await {
                Ok(_) => return Ok(Outcome::Done),
                Err(error) => error,
            };
            match verdict(&error) {
                Verdict::Refused => return Ok(Outcome::Refused),
                Verdict::Failed => return Err(unavailable(error)),
                Verdict::Cancelled => token = Uuid::new_v4(),
                Verdict::InProgress => {}
            }
            pause(attempt).await;
        }
        Err(Error::Unavailable(Box::new(Contention)))
    }
}

impl Transaction {
    pub(crate) fn put(&mut self, row: Row, condition: Option<Expression>) {
        use aws_sdk_dynamodb::types::Put;
        let condition = Condition::from(condition);
        let put = Put::builder()
            .set_item(Some(row.into_attributes()))
            .set_condition_expression(condition.text)
            .set_expression_attribute_names(condition.names)
            .set_expression_attribute_values(condition.values);
        let put = put.table_name("").build().ok();
        self.push(TransactWriteItem::builder().set_put(put).build());
    }

    pub(crate) fn delete(&mut self, key: &Key, condition: Option<Expression>) {
        use aws_sdk_dynamodb::types::Delete;
        let condition = Condition::from(condition);
        let delete = Delete::builder()
            .set_key(Some(key.attributes()))
            .set_condition_expression(condition.text)
            .set_expression_attribute_names(condition.names)
            .set_expression_attribute_values(condition.values);
        let delete = delete.table_name("").build().ok();
        self.push(TransactWriteItem::builder().set_delete(delete).build());
    }

    pub(crate) fn update(&mut self, key: &Key, update: Expression, condition: Option<Expression>) {
        use aws_sdk_dynamodb::types::Update;
        let text = condition.as_ref().map(|condition| condition.text.clone());
        let condition = condition.unwrap_or_default();
        let names = both(update.names(), condition.names());
        let update = Update::builder()
            .set_key(Some(key.attributes()))
            .update_expression(update.text)
            .set_condition_expression(text)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(both(update.values, condition.values));
        let update = update.table_name("").build().ok();
        self.push(TransactWriteItem::builder().set_update(update).build());
    }

    fn push(&mut self, write: TransactWriteItem) {
        self.0.push(write);
    }
}

/// A condition as the builders take it.
#[derive(Default)]
struct Condition {
    text: Option<String>,
    names: Option<std::collections::HashMap<String, String>>,
    values: Option<Attributes>,
}

impl From<Option<Expression>> for Condition {
    fn from(condition: Option<Expression>) -> Self {
        let Some(condition) = condition else {
            return Self::default();
        };
        Self {
            names: both(condition.names(), Default::default()),
            text: Some(condition.text),
            values: both(condition.values, Default::default()),
        }
    }
}

/// The write with the name of the table, which transactions are built without.
fn in_table(mut write: TransactWriteItem, table: &str) -> TransactWriteItem {
    let names = [
        write.put.as_mut().map(|put| &mut put.table_name),
        write.delete.as_mut().map(|delete| &mut delete.table_name),
        write.update.as_mut().map(|update| &mut update.table_name),
    ];
    for name in names.into_iter().flatten() {
        table.clone_into(name);
    }
    write
}

fn limit(query: &Query<'_>, found: usize) -> Option<i32> {
    /// A page has at most 1 MB anyway.
    const MOST: usize = 10_000;
    let wanted = query.limit.saturating_sub(found);
    let is_bounded = query.filter.is_none() && wanted <= MOST;
    is_bounded.then(|| i32::try_from(wanted).unwrap_or(i32::MAX))
}

/// What a failed transaction means.
enum Verdict {
    /// Nothing took effect: a condition did not hold.
    Refused,
    /// Nothing took effect: others were in the way, or there was too much to do.
    Cancelled,
    /// The same call is still being worked on.
    InProgress,
    Failed,
}

fn verdict(error: &SdkError<TransactWriteItemsError>) -> Verdict {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            let codes = cancelled.cancellation_reasons().iter();
            let codes: Vec<&str> = codes.filter_map(|reason| reason.code()).collect();
            if codes.contains(&"ConditionalCheckFailed") {
                return Verdict::Refused;
            }
            let in_the_way = |code: &&str| {
                matches!(
                    *code,
                    "TransactionConflict" | "ProvisionedThroughputExceeded" | "ThrottlingError"
                )
            };
            match codes.iter().any(in_the_way) {
                true => Verdict::Cancelled,
                false => Verdict::Failed,
            }
        }
        Some(TransactWriteItemsError::TransactionInProgressException(_)) => Verdict::InProgress,
        _ => Verdict::Failed,
    }
}

/// Does a write of one item until no transaction is in its way; `None` when its condition does
/// not hold.
async fn again<T, E, F>(write: impl Fn() -> F) -> Result<Option<T>, Error>
where
    F: Future<Output = Result<T, SdkError<E>>>,
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    for attempt in 0..ATTEMPTS {
        let error = match write().await {
            Ok(done) => return Ok(Some(done)),
            Err(error) => error,
        };
        match error.as_service_error().and_then(|error| error.code()) {
            Some("ConditionalCheckFailedException") => return Ok(None),
            Some("TransactionConflictException") => pause(attempt).await,
            _ => return Err(unavailable(error)),
        }
    }
    Err(Error::Unavailable(Box::new(Contention)))
}

/// Waits by chance, each time up to twice as long: those who met do not meet again.
async fn pause(attempt: u32) {
    const FIRST: u64 = 20;
    const LONGEST: u64 = 1000;
    let longest = (FIRST << attempt.min(10)).min(LONGEST);
    let chance = Uuid::new_v4().as_u64_pair().1 % longest;
    tokio::time::sleep(Duration::from_millis(chance)).await;
}

/// A failed call as this back end's failure.
pub(crate) fn unavailable<E, R>(error: SdkError<E, R>) -> Error
where
    E: std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    Error::Unavailable(Box::new(error))
}
