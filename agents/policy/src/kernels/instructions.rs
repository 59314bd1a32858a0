//! Which instruction set, and how work is compiled for it.

/// An instruction set the kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instructions {
    /// 512-bit vectors.
    Avx512,
    /// 256-bit vectors with fused multiply-add.
    Avx2,
    /// Whatever every machine has.
    Plain,
}

/// `CAMBIST_KERNEL` cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// There is no such instruction set.
    #[error("CAMBIST_KERNEL is '{0}': it must be avx512, avx2 or plain, or not be set")]
    Unknown(String),
    /// This processor lacks it.
    #[error("CAMBIST_KERNEL is '{0}', which this processor does not have: unset it for the widest it has")]
    Missing(&'static str),
}

impl Instructions {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Avx512, Self::Avx2, Self::Plain];

    /// Whether this processor has it.
    #[must_use]
    pub fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return match self {
            // Every feature that the wide code is compiled with.
            Self::Avx512 => {
                std::is_x86_feature_detected!("avx512f")
                    && std::is_x86_feature_detected!("avx512vl")
                    && std::is_x86_feature_detected!("avx512dq")
                    && std::is_x86_feature_detected!("avx512bw")
                    && Self::Avx2.is_available()
            }
            Self::Avx2 => std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma"),
            Self::Plain => true,
        };
        #[cfg(not(target_arch = "x86_64"))]
        return self == Self::Plain;
    }

    /// The widest this processor has, or the one that `CAMBIST_KERNEL` (avx512, avx2, plain) names if it has that.
    #[must_use]
    pub fn detect() -> Self {
        let widest = Self::ALL.into_iter().find(|i| i.is_available()).unwrap_or(Self::Plain);
        Self::forced().ok().flatten().unwrap_or(widest)
    }

    /// What `CAMBIST_KERNEL` names, if anything.
    ///
    /// # Errors
    /// When it names nothing there is, or what this processor lacks.
    pub fn forced() -> Result<Option<Self>, KernelError> {
        let wanted = std::env::var("CAMBIST_KERNEL").unwrap_or_default();
        if wanted.is_empty() {
            return Ok(None);
        }
        match Self::ALL.into_iter().find(|i| i.name() == wanted) {
            None => Err(KernelError::Unknown(wanted)),
            Some(named) if !named.is_available() => Err(KernelError::Missing(named.name())),
            named => Ok(named),
        }
    }

    /// Its name in `CAMBIST_KERNEL`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Plain => "plain",
        }
    }
}

/// Work whose loops are to be compiled for the processor's vectors. Mark `run` `#[inline(always)]`, or it is not.
pub trait Work {
    /// What comes out.
    type Output;
    /// Does it.
    fn run(self) -> Self::Output;
}

/// Does `work` compiled for `instructions`.
#[inline]
pub fn with<W: Work>(instructions: Instructions, work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma,avx2")]
        fn avx512<W: Work>(work: W) -> W::Output {
            work.run()
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2<W: Work>(work: W) -> W::Output {
            work.run()
        }
        match instructions {
            // SAFETY: `is_available` found the instruction set on this processor.
            Instructions::Avx512 if instructions.is_available() => return unsafe { avx512(work) },
            // SAFETY: as above.
            Instructions::Avx2 if instructions.is_available() => return unsafe { avx2(work) },
            _ => {}
        }
    }
    let _ = instructions;
    work.run()
}
