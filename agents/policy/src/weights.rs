//! Weights as named f32 arrays in safetensors: no library's upgrade orphans them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use cambist_store::{FileError, write_atomic};
use safetensors::{Dtype, SafeTensors, View};

use crate::actor_critic::{ActorCritic, ActorCriticSpec};

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

/// The bytes of a weights file.
///
/// # Errors
/// When the writer refuses.
pub fn to_bytes(agent: &ActorCritic) -> Result<Vec<u8>, WeightsError> {
    let tensors: Vec<(String, Tensor)> = agent
        .spec()
        .tensors()
        .into_iter()
        .map(|(name, shape, place)| {
            let bytes = agent.parameters[place].iter().flat_map(|v| v.to_le_bytes()).collect();
            (name, Tensor { shape, bytes })
        })
        .collect();
    safetensors::serialize(tensors.iter().map(|(name, tensor)| (name, tensor)), None)
        .map_err(|e| WeightsError::Format { path: PathBuf::new(), reason: e.to_string() })
}

/// Writes the weights of `agent` to `path`, whole or not at all.
///
/// # Errors
/// When the file cannot be written.
pub fn save(agent: &ActorCritic, path: &Path) -> Result<(), WeightsError> {
    let bytes = to_bytes(agent)?;
    write_atomic(path, |file| std::io::Write::write_all(file, &bytes))?;
    Ok(())
}

/// Reads the weights of an agent of shape `spec`.
///
/// # Errors
/// When the file is missing or damaged, or a tensor is missing or of another shape.
pub fn load(spec: &ActorCriticSpec, path: &Path) -> Result<ActorCritic, WeightsError> {
    let bytes = std::fs::read(path).map_err(FileError::on("read", path))?;
    let format = |reason: String| WeightsError::Format { path: path.to_owned(), reason };
    let file = SafeTensors::deserialize(&bytes).map_err(|e| format(e.to_string()))?;
    let mut parameters = vec![0.0f32; spec.n_parameters()];
    for (name, shape, place) in spec.tensors() {
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
    ActorCritic::new(spec.clone(), parameters)
        .ok_or_else(|| format("the number of parameters is wrong".into()))
}
