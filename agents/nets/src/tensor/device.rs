//! Which device, and in which precision.

use std::fmt;

use burn::tensor::{DType, Device, FloatDType};
use serde::{Deserialize, Serialize};

use crate::learner::LearnError;

/// A kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// The processor.
    Cpu,
    /// An NVIDIA GPU; needs a build with `--features cuda`.
    Cuda,
    /// Any GPU that WebGPU or Vulkan reaches; needs a build with `--features wgpu`.
    Wgpu,
}

/// Precision of products on the device; weights, losses and steps are always single.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single.
    Single,
    /// bfloat16 where the device computes in it, else single.
    Mixed,
}

/// A device and how it computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceChoice {
    /// Which kind.
    pub kind: DeviceKind,
    /// Of products.
    pub precision: Precision,
    /// Whether element-wise results are computed again on the way back instead of kept.
    pub gradient_checkpointing: bool,
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            DeviceKind::Cpu => "cpu",
            DeviceKind::Cuda => "cuda",
            DeviceKind::Wgpu => "wgpu",
        })
    }
}

impl DeviceChoice {
    /// The device with differentiation on, and what it computes products in.
    ///
    /// # Errors
    /// When it is not there, or this build does not know it.
    pub fn open(&self) -> Result<(Device, FloatDType), LearnError> {
        let mut device = self.find()?.autodiff();
        if self.gradient_checkpointing {
            device = device.gradient_checkpointing();
        }
        let half = self.precision == Precision::Mixed && device.supports_dtype(DType::BF16);
        Ok((device, if half { FloatDType::BF16 } else { FloatDType::F32 }))
    }

    fn find(&self) -> Result<Device, LearnError> {
        let found = match self.kind {
            DeviceKind::Cpu => Some(Device::flex()),
            #[cfg(feature = "cuda")]
            DeviceKind::Cuda => {
                Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec().into_iter().next()
            }
            #[cfg(feature = "wgpu")]
            DeviceKind::Wgpu => {
                Device::enumerate(burn::tensor::DeviceType::Wgpu).into_vec().into_iter().next()
            }
            #[allow(unreachable_patterns, reason = "with every feature on, nothing is left")]
            _ => {
                let reason = format!("this build does not know it; build with --features {self}");
                return Err(LearnError::Device { device: self.to_string(), reason });
            }
        };
        found.ok_or_else(|| LearnError::Device {
            device: self.to_string(),
            reason: "this machine has none; use device = \"cpu\"".to_owned(),
        })
    }
}
