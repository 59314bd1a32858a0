//! Weights as named f32 arrays in safetensors: no library's upgrade orphans them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use cambist_store::{FileError, write_atomic};
use safetensors::{Dtype, SafeTensors, View};

use crate::actor_critic::{ActorCritic, ActorCriticSpec};
use crate::ensemble::Ensemble;
use crate::trained::{PolicySpec, TrainedPolicy};

/// What is wrong with a weights file.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is no safetensors file.
    #[error("{} is no safetensors file: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// A tensor is missing or of another shape.
    #[error("{}: tensor '{name}' is {found}, the policy needs {wanted}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What is there.
        found: String,
        /// What is needed.
        wanted: String,
    },
}

struct Tensor {
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View for &Tensor {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        (&self.bytes).into()
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Prefix of the names of an ensemble's member.
fn member(index: usize) -> String {
    format!("member.{index:02}.")
}

/// The bytes of a weights file.
///
/// # Errors
/// When the writer refuses.
pub fn to_bytes(policy: &TrainedPolicy) -> Result<Vec<u8>, WeightsError> {
    let tensors: Vec<(String, Tensor)> = match policy {
        TrainedPolicy::Single(agent) => tensors_of(agent, ""),
        TrainedPolicy::Ensemble(ensemble) => {
            let members = ensemble.members().iter().enumerate();
            members.flat_map(|(index, agent)| tensors_of(agent, &member(index))).collect()
        }
    };
    safetensors::serialize(tensors.iter().map(|(name, tensor)| (name, tensor)), None)
        .map_err(|e| WeightsError::Format { path: PathBuf::new(), reason: e.to_string() })
}

fn tensors_of(agent: &ActorCritic, prefix: &str) -> Vec<(String, Tensor)> {
    let named = agent.spec().tensors().into_iter();
    named
        .map(|(name, shape, place)| {
            let bytes = agent.parameters[place].iter().flat_map(|v| v.to_le_bytes()).collect();
            (format!("{prefix}{name}"), Tensor { shape, bytes })
        })
        .collect()
}

/// Writes the weights of `policy` to `path`, whole or not at all.
///
/// # Errors
/// When the file cannot be written.
pub fn save(policy: &TrainedPolicy, path: &Path) -> Result<(), WeightsError> {
    let bytes = to_bytes(policy)?;
    write_atomic(path, |file| std::io::Write::write_all(file, &bytes))?;
    Ok(())
}

/// Reads the weights of a policy of shape `spec`.
///
/// # Errors
/// When the file is missing or damaged, a tensor is missing or of another shape, or the shape is none.
pub fn load(spec: &PolicySpec, path: &Path) -> Result<TrainedPolicy, WeightsError> {
    let bytes = std::fs::read(path).map_err(FileError::on("read", path))?;
    let format = |reason: String| WeightsError::Format { path: path.to_owned(), reason };
    let file = SafeTensors::deserialize(&bytes).map_err(|e| format(e.to_string()))?;
    let network = |spec: &ActorCriticSpec, prefix: &str| network(&file, spec, prefix, path);
    match spec {
        PolicySpec::Single(spec) => Ok(network(spec, "")?.into()),
        PolicySpec::Ensemble(spec) => {
            let members = spec.members.iter().enumerate();
            let members: Result<Vec<_>, _> =
                members.map(|(index, own)| network(&own.network, &member(index))).collect();
            Ok(TrainedPolicy::Ensemble(Ensemble::new(spec.clone(), members?).map_err(format)?))
        }
    }
}

fn network(
    file: &SafeTensors<'_>,
    spec: &ActorCriticSpec,
    prefix: &str,
    path: &Path,
) -> Result<ActorCritic, WeightsError> {
    let mut parameters = vec![0.0f32; spec.n_parameters()];
    for (name, shape, place) in spec.tensors() {
        let name = format!("{prefix}{name}");
        let wanted = format!("f32 {shape:?}");
        let wrong = |found: String| WeightsError::Tensor {
            path: path.to_owned(),
            name: name.clone(),
            found,
            wanted: wanted.clone(),
        };
        let tensor = file.tensor(&name).map_err(|_| wrong("missing".to_owned()))?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
            return Err(wrong(format!("{:?} {:?}", tensor.dtype(), tensor.shape())));
        }
        for (value, bytes) in parameters[place].iter_mut().zip(tensor.data().chunks_exact(4)) {
            *value = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
    }
    ActorCritic::new(spec.clone(), parameters).ok_or_else(|| WeightsError::Format {
        path: path.to_owned(),
        reason: "the number of parameters is wrong".to_owned(),
    })
}
