//! The network's section: which trunk, and what learns it.

use cambist_decide::ACCOUNT_COLUMNS;
use cambist_nets::{DeviceChoice, DeviceKind, Precision};
use cambist_ppo::LearnerChoice;

use super::ConfigError;
use super::raw::{self, RawConfig};
use super::sections::{refuse, require};

/// The learner must know the network, and the network fit the window.
pub(super) fn check_network(raw: &RawConfig) -> Result<(), ConfigError> {
    let n = &raw.network;
    for (field, value, most) in [
        ("network.trunk_width", n.trunk_width, 8192),
        ("network.kernel", n.kernel, 4096),
        ("network.heads", n.heads, 256),
        ("network.layers", n.layers, 64),
    ] {
        require((1..=most).contains(&value), field, value, format!("from 1 to {most}"))?;
    }
    let windowed = matches!(n.trunk, raw::Trunk::Conv | raw::Trunk::Transformer);
    let fused = n.learner == raw::LearnerName::Fused;
    let name = format!("{:?}", n.trunk).to_lowercase();
    require(!(windowed && fused), "network.learner", "'fused'", format!("'burn' for the trunk '{name}'"))?;
    let elsewhere = n.device != raw::DeviceName::Cpu || n.precision != raw::PrecisionName::Single;
    require(
        !(fused && elsewhere),
        "network.learner",
        "'fused'",
        "'burn' for another device or precision: the fused kernels are single precision on the processor",
    )?;
    if windowed {
        // As many columns as the window has rows stand for any number: only the shape matters here.
        let window = raw.features.window;
        let trunk = trunk(raw);
        if let Some(reason) = trunk.misfit(window + ACCOUNT_COLUMNS.len()) {
            return refuse("network.trunk", format!("'{name}'"), format!("one that fits: {reason}"));
        }
    }
    Ok(())
}

/// The trunk as the trainer takes it.
pub(super) fn trunk(raw: &RawConfig) -> cambist_policy::Trunk {
    let n = &raw.network;
    let (width, window, extras) = (n.trunk_width, raw.features.window, ACCOUNT_COLUMNS.len());
    match n.trunk {
        raw::Trunk::None => cambist_policy::Trunk::None,
        raw::Trunk::Gru => cambist_policy::Trunk::Gru { width },
        raw::Trunk::Lstm => cambist_policy::Trunk::Lstm { width },
        raw::Trunk::Conv => cambist_policy::Trunk::Conv { window, extras, width, kernel: n.kernel },
        raw::Trunk::Transformer => {
            cambist_policy::Trunk::Transformer { window, extras, width, heads: n.heads, layers: n.layers }
        }
    }
}

/// The learner as the trainer takes it.
pub(super) fn learner(raw: &RawConfig) -> LearnerChoice {
    let n = &raw.network;
    if n.learner == raw::LearnerName::Fused {
        return LearnerChoice::Fused;
    }
    LearnerChoice::Tensor(DeviceChoice {
        kind: match n.device {
            raw::DeviceName::Cpu => DeviceKind::Cpu,
            raw::DeviceName::Cuda => DeviceKind::Cuda,
            raw::DeviceName::Wgpu => DeviceKind::Wgpu,
        },
        precision: match n.precision {
            raw::PrecisionName::Single => Precision::Single,
            raw::PrecisionName::Mixed => Precision::Mixed,
        },
        gradient_checkpointing: n.gradient_checkpointing,
    })
}
