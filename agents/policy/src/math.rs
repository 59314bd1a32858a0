//! Elementary functions that vectorise and give the same bits on every machine: only +, ×, ÷, fused multiply-add,
//! comparison and bit moves, each exactly rounded by IEEE 754.

/// Hyperbolic tangent, within 4 units in the last place: a rational approximation of degree 13 over 6 (the coefficients
/// of Eigen's `ptanh_float`), odd by construction and ±1 beyond |x| = 8.
#[inline(always)]
#[must_use]
pub fn tanh(x: f32) -> f32 {
    const BOUND: f32 = 7.905_311;
    let clamped = x.clamp(-BOUND, BOUND);
    let square = clamped * clamped;
    let mut p = -2.760_768_5e-16_f32;
    for coefficient in
        [2.000_188e-13, -8.604_672e-11, 5.122_297e-8, 1.485_722_4e-5, 6.372_619_3e-4, 4.893_524_6e-3]
    {
        p = p.mul_add(square, coefficient);
    }
    let mut q = 1.198_258_4e-6_f32;
    for coefficient in [1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3] {
        q = q.mul_add(square, coefficient);
    }
    let y = clamped * p / q;
    // Near zero tanh x = x to the last bit.
    if x.abs() < 4e-4 { x } else { y }
}

/// `e^x`, within 2 units in the last place for |x| ≤ 87; beyond, 0 or infinity's neighbour (Cody–Waite reduction and the
/// polynomial of Cephes' `expf`).
#[inline(always)]
#[must_use]
pub fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    // Round to the nearest whole number by adding and taking away 1.5·2²³.
    const MAGIC: f32 = 12_582_912.0;
    let n = x.mul_add(std::f32::consts::LOG2_E, MAGIC) - MAGIC;
    let r = n.mul_add(-0.693_359_4, x);
    let r = n.mul_add(2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4_f32;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p.mul_add(r, coefficient);
    }
    let y = p.mul_add(r * r, r) + 1.0;
    // The whole number stands in the low bits of its sum with the magic one.
    let power = (n + MAGIC).to_bits().wrapping_sub(MAGIC.to_bits()).wrapping_add(127);
    y * f32::from_bits(power << 23)
}

/// The logistic function `1 / (1 + e^−x)`.
#[inline(always)]
#[must_use]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Natural logarithm of a positive normal number, within 2 units in the last place (reduction to [√½, √2) and the
/// polynomial of Cephes' `logf`).
#[inline(always)]
#[must_use]
pub fn ln(x: f32) -> f32 {
    // Bits from √½ on: the exponent is a whole number, the rest lies in [√½, √2).
    const ROOT_HALF: u32 = 0x3F35_04F3;
    let shifted = x.to_bits().wrapping_sub(ROOT_HALF);
    let exponent = (shifted as i32 >> 23) as f32;
    let m = f32::from_bits((shifted & 0x007F_FFFF).wrapping_add(ROOT_HALF)) - 1.0;
    let square = m * m;
    let mut p = 7.037_683_6e-2_f32;
    for coefficient in [
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_7e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        p = p.mul_add(m, coefficient);
    }
    let y = (p * m).mul_add(square, exponent * -2.121_944_4e-4);
    let y = square.mul_add(-0.5, y) + m;
    exponent.mul_add(0.693_359_4, y)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst(ours: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64, range: f32) -> f64 {
        let n = 200_001;
        (0..n)
            .map(|i| range * (2.0 * i as f32 / (n - 1) as f32 - 1.0))
            .map(|x| {
                let wanted = exact(f64::from(x));
                let ulp = f64::from(f32::EPSILON) * wanted.abs().max(f64::from(f32::MIN_POSITIVE));
                (f64::from(ours(x)) - wanted).abs() / ulp
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn tanh_and_exp_are_close() {
        assert!(worst(tanh, libm::tanh, 10.0) < 4.0, "{}", worst(tanh, libm::tanh, 10.0));
        assert!(worst(exp, libm::exp, 86.0) < 2.0, "{}", worst(exp, libm::exp, 86.0));
        let above = |x: f32| exp(0.5 * x);
        let ln_of = |f: fn(f64) -> f64| move |x: f64| f(f64::from(above(x as f32)));
        assert!(worst(|x| ln(above(x)), ln_of(libm::log), 80.0) < 2.0);
        assert!(worst(sigmoid, |x| 1.0 / (1.0 + libm::exp(-x)), 80.0) < 4.0);
        assert_eq!((tanh(-0.3) + tanh(0.3)).to_bits(), 0f32.to_bits());
        assert!(tanh(50.0) <= 1.0 && exp(-1000.0) > 0.0 && exp(1000.0).is_finite());
    }
}
