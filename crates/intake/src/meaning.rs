//! What an utterance means, where no phrase says so: its embedding beside those of the intents' example sentences. The
//! model is outside ([`Embedder`]); here are the comparison, the threshold, the margin and the doubt.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::api::TriggerName;
use crate::flow::Flow;

/// A sentence embedding model.
pub trait Embedder: Send + Sync {
    /// The sentence as a vector of unit length; always the same number of dimensions. `None` when the model failed, which
    /// leaves the phrases of the flow to decide.
    fn embed(&self, sentence: &str) -> Option<Vec<f32>>;
}

/// The model, and every intent's examples in its terms.
pub(crate) struct Learnt {
    embedder: Arc<dyn Embedder>,
    intents: Vec<Examples>,
    /// Of distress.
    urgent: Vec<Vec<f32>>,
}

struct Examples {
    intent: usize,
    vectors: Vec<Vec<f32>>,
    centroid: Vec<f32>,
}

/// What an utterance was understood to mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Meant {
    /// This intent.
    Intent(usize),
    /// This intent perhaps; ask.
    Perhaps(usize),
    /// None of them.
    Nothing,
}

impl std::fmt::Debug for Learnt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Learnt").field("intents", &self.intents.len()).finish_non_exhaustive()
    }
}

impl Flow {
    /// Learns the intents' example sentences; once, before the first call. Without it, and when the model fails, phrases
    /// alone decide. Costs one embedding for each example. Returns how many examples were learnt.
    pub fn learn(&self, embedder: Arc<dyn Embedder>) -> usize {
        let intents: Vec<Examples> = self
            .intents
            .iter()
            .enumerate()
            .filter_map(|(intent, i)| {
                let vectors: Vec<Vec<f32>> = i.examples.iter().filter_map(|e| embedder.embed(e)).collect();
                let centroid = centroid(&vectors)?;
                Some(Examples { intent, vectors, centroid })
            })
            .collect();
        let distress = self.triggers.get(&TriggerName::Distress);
        let urgent: Vec<Vec<f32>> =
            distress.iter().flat_map(|t| &t.examples).filter_map(|e| embedder.embed(e)).collect();
        let count = intents.iter().map(|i| i.vectors.len()).sum::<usize>() + urgent.len();
        if self.learnt.set(Learnt { embedder, intents, urgent }).is_err() {
            return 0;
        }
        count
    }

    /// An utterance in the model's terms, numbers left out: they mean nothing there and lead astray. `None` without a model.
    pub(crate) fn vector(&self, text: &str) -> Option<Vec<f32>> {
        let learnt = self.learnt.get()?;
        let plain = |w: &&str| !w.bytes().any(|b| b.is_ascii_digit());
        learnt.embedder.embed(&text.split_whitespace().filter(plain).collect::<Vec<_>>().join(" "))
    }

    /// Whether an utterance is near an example of distress.
    pub(crate) fn is_urgent(&self, vector: &[f32]) -> bool {
        let urgent = self.learnt.get().map(|l| l.urgent.as_slice()).unwrap_or_default();
        urgent.iter().any(|example| cosine(example, vector) >= self.meaning.urgent)
    }

    /// What an utterance means; `not` are intents that the caller denied. `None` without a model.
    pub(crate) fn meant(&self, vector: &[f32], not: &BTreeSet<usize>) -> Option<Meant> {
        let learnt = self.learnt.get().filter(|l| !l.intents.is_empty())?;
        let meant = learnt.intents.iter().filter(|i| !not.contains(&i.intent));
        let mut scored: Vec<(f32, usize)> = meant.map(|i| (i.similarity(vector), i.intent)).collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (best, intent) = *scored.first()?;
        let margin = best - scored.get(1).map_or(-1.0, |s| s.0);
        let rules = &self.meaning;
        Some(if best >= rules.threshold && margin >= rules.margin {
            Meant::Intent(intent)
        } else if best >= rules.ask {
            Meant::Perhaps(intent)
        } else {
            Meant::Nothing
        })
    }
}

impl Examples {
    /// Half how near the examples' middle, half how near the nearest of them.
    fn similarity(&self, vector: &[f32]) -> f32 {
        let nearest = self.vectors.iter().map(|v| cosine(v, vector)).fold(-1.0, f32::max);
        (cosine(&self.centroid, vector) + nearest) / 2.0
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    let norm = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
    let scale = norm(a) * norm(b);
    if scale > 0.0 { dot / scale } else { 0.0 }
}

fn centroid(vectors: &[Vec<f32>]) -> Option<Vec<f32>> {
    let first = vectors.first()?;
    let mut sum = vec![0.0; first.len()];
    for vector in vectors {
        sum.iter_mut().zip(vector).for_each(|(s, v)| *s += v);
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_centroid_is_between_its_examples() {
        let middle = centroid(&[vec![1.0, 0.0], vec![0.0, 1.0]]).unwrap();
        assert!((cosine(&middle, &[1.0, 1.0]) - 1.0).abs() < 1e-6);
        assert!((cosine(&middle, &[1.0, 0.0]) - cosine(&middle, &[0.0, 1.0])).abs() < 1e-6);
        assert_eq!(cosine(&middle, &[0.0, 0.0]), 0.0);
        assert_eq!(centroid(&[]), None);
    }
}
