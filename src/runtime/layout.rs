//! From plan to tasks: which nodes run where, and the channels between them.
//!
//! A *head* is a source partition or an instance of a keyed operator. Behind it, in the same task, run the
//! stateless steps and the first half of aggregates, as a tree, up to the nodes that have tasks of their own.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use tokio::sync::mpsc::{Receiver, channel};

use crate::error::{Error, Result};
use crate::limits::CHANNEL_ELEMENTS_MAX;
use crate::metrics::Metrics;
use crate::operators::{self, KeyFilter, Operator};
use crate::plan::{Exchange, NodeId, NodeKind, StreamPlan};
use crate::runtime::channel::EdgeOut;
use crate::runtime::fragment::{Fragment, Next, Step};
use crate::stream::StreamElement;

/// Stored batches of every operator, by state key, in the order they were written.
pub(crate) type Snapshots = BTreeMap<String, Vec<Vec<RecordBatch>>>;

/// Builds fragments and remembers the receiving ends they need.
pub(crate) struct Layout<'a> {
    plan: &'a StreamPlan,
    metrics: &'a Metrics,
    parallelism: usize,
    snapshots: Snapshots,
    /// Node → instance → inputs.
    receivers: BTreeMap<NodeId, Vec<Vec<Receiver<StreamElement>>>>,
}

impl<'a> Layout<'a> {
    pub(crate) fn new(plan: &'a StreamPlan, metrics: &'a Metrics, parallelism: usize, snapshots: Snapshots) -> Self {
        Self { plan, metrics, parallelism, snapshots, receivers: BTreeMap::new() }
    }

    /// The fragment behind a source partition.
    pub(crate) fn source(&mut self, source: NodeId, partition: &str) -> Result<Fragment> {
        let mut fragment = Fragment::default();
        fragment.steps.push(self.step(source, None, format!("{source}.{partition}")));
        self.behind(source, partition, &mut fragment, 0)?;
        Ok(fragment)
    }

    /// The fragment of one instance of a keyed node, its operator at the root, with its state.
    pub(crate) fn keyed(&mut self, node: NodeId, instance: usize) -> Result<Fragment> {
        let instances = self.instances(node)?;
        let schema = &self.plan.nodes[self.plan.nodes[node].inputs[0]].schema;
        let mut operator = operators::keyed(&self.plan.nodes[node], schema)?
            .ok_or_else(|| Error::internal(format!("node {node} is not keyed")))?;
        let key = format!("{node}");
        for snapshot in self.snapshots.get(&key).into_iter().flatten() {
            operator.restore(snapshot.clone(), &KeyFilter { instance, instances })?;
        }
        let mut fragment = Fragment::default();
        let mut step = self.step(node, Some(operator), key);
        step.metrics = self.metrics.operator(&format!("{node}.{instance}"));
        fragment.steps.push(step);
        self.behind(node, &format!("i{instance}"), &mut fragment, 0)?;
        Ok(fragment)
    }

    /// The inputs of every instance of a node, once all fragments before it are made.
    pub(crate) fn inputs(&mut self, node: NodeId) -> Vec<Vec<Receiver<StreamElement>>> {
        self.receivers.remove(&node).unwrap_or_default()
    }

    /// How many instances a node with tasks of its own has.
    pub(crate) fn instances(&self, node: NodeId) -> Result<usize> {
        let hashed = matches!(self.plan.nodes[node].kind.exchange(), Exchange::Hash(_));
        Ok(if hashed { self.parallelism } else { 1 })
    }

    /// Adds what reads `node` behind step `at`. `head` names the task, for the state keys of first halves.
    fn behind(&mut self, node: NodeId, head: &str, fragment: &mut Fragment, at: usize) -> Result<()> {
        for consumer in self.plan.consumers(node).collect::<Vec<_>>() {
            let next = &self.plan.nodes[consumer];
            match &next.kind {
                NodeKind::Calc(_) | NodeKind::Unnest(_) | NodeKind::ConstantJoin(_) | NodeKind::WindowAssign(_) => {
                    let operator = operators::chained(next)?;
                    let to = self.add(fragment, at, consumer, operator, format!("{consumer}.{head}"));
                    self.behind(consumer, head, fragment, to)?;
                }
                NodeKind::Union => {
                    // Read twice by the same union (UNION ALL of a table with itself): once per place.
                    for _ in next.inputs.iter().filter(|input| **input == node) {
                        let to = self.add(fragment, at, consumer, None, format!("{consumer}.{head}"));
                        self.behind(consumer, head, fragment, to)?;
                    }
                }
                NodeKind::WindowAggregate(_)
                | NodeKind::OverAggregate(_)
                | NodeKind::WindowRank(_)
                | NodeKind::Sort(_)
                | NodeKind::WindowJoin(_) => {
                    // Two paths of one task may lead here (a union of two filters): each has its own first half.
                    let paths =
                        fragment.steps.iter().filter(|s| s.state_key.starts_with(&format!("{consumer}.local"))).count();
                    let key = format!("{consumer}.local{paths}.{head}");
                    let from = match self.local(node, consumer, &key)? {
                        Some(operator) => self.add(fragment, at, consumer, Some(operator), key),
                        None => at,
                    };
                    self.connect(node, consumer, fragment, from)?;
                }
                NodeKind::Sink(_) => self.connect(node, consumer, fragment, at)?,
                NodeKind::Source(_) => return Err(Error::internal("a source has an input")),
            }
        }
        Ok(())
    }

    fn local(&self, node: NodeId, consumer: NodeId, key: &str) -> Result<Option<Box<dyn Operator>>> {
        let mut local = operators::local(&self.plan.nodes[consumer], &self.plan.nodes[node].schema)?;
        if let Some(operator) = &mut local {
            for snapshot in self.snapshots.get(key).into_iter().flatten() {
                operator.restore(snapshot.clone(), &KeyFilter::ALL)?;
            }
        }
        Ok(local)
    }

    /// First halves behind keyed instances keep their partials where they were made: the instances must be the same.
    ///
    /// # Errors
    /// `State` if the stored run had another parallelism.
    pub(crate) fn check_parallelism(&self) -> Result<()> {
        let parse = |key: &str| -> Option<(NodeId, usize)> {
            let (node, rest) = key.split_once(".local")?;
            Some((node.parse().ok()?, rest.rsplit_once(".i")?.1.parse().ok()?))
        };
        let mut stored: BTreeMap<NodeId, usize> = BTreeMap::new();
        for (node, instance) in self.snapshots.keys().filter_map(|key| parse(key)) {
            let count = stored.entry(node).or_default();
            *count = (*count).max(instance + 1);
        }
        for (node, count) in stored {
            // the keyed node it stands behind; without keys that has one instance at any parallelism
            let before = self.keyed_before(node);
            let instances = before.map(|before| self.instances(before)).transpose()?;
            if instances.is_some_and(|instances| instances != count) {
                return Err(Error::state(format!(
                    "the state was stored with parallelism {count}, and this run has {}",
                    self.parallelism
                ))
                .detail("A window over the rows of an OVER, or of another window, cannot change it.")
                .hint(format!("add --parallelism {count}")));
            }
        }
        Ok(())
    }

    /// The nearest node before `node` that has tasks of its own.
    fn keyed_before(&self, node: NodeId) -> Option<NodeId> {
        let inputs = self.plan.nodes.get(node).map_or(&[][..], |node| &node.inputs);
        inputs.iter().find_map(|&input| match self.plan.nodes[input].kind.exchange() {
            Exchange::None => self.keyed_before(input),
            _ => Some(input),
        })
    }

    fn add(
        &self,
        fragment: &mut Fragment,
        at: usize,
        node: NodeId,
        operator: Option<Box<dyn Operator>>,
        key: String,
    ) -> usize {
        let to = fragment.steps.len();
        fragment.steps.push(self.step(node, operator, key));
        fragment.steps[at].next.push(Next::Step(to));
        to
    }

    fn step(&self, node: NodeId, operator: Option<Box<dyn Operator>>, state_key: String) -> Step {
        let metrics = match &operator {
            Some(_) => self.metrics.operator(&state_key),
            None => Arc::default(),
        };
        Step { node, operator, state_key, metrics, next: Vec::new() }
    }

    fn connect(&mut self, node: NodeId, consumer: NodeId, fragment: &mut Fragment, at: usize) -> Result<()> {
        let instances = self.instances(consumer)?;
        let receivers = self.receivers.entry(consumer).or_insert_with(|| (0..instances).map(|_| Vec::new()).collect());
        let mut senders = Vec::with_capacity(instances);
        for inputs in receivers {
            let (sender, receiver) = channel(CHANNEL_ELEMENTS_MAX);
            senders.push(sender);
            inputs.push(receiver);
        }
        let route = operators::route(&self.plan.nodes[consumer], &self.plan.nodes[node].schema)?;
        fragment.steps[at].next.push(Next::Edge(fragment.edges.len()));
        fragment.edges.push(EdgeOut::new(route, senders));
        Ok(())
    }
}
