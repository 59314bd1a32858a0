//! Gauss–Hermite quadrature for expectations over a standard normal.

/// Nodes and weights such that `Σ w f(x) = E f(Z)`, exact for polynomials of degree `2n − 1`. Roots of the Hermite
/// polynomials by Newton's method from the asymptotic guesses of Press et al., "Numerical Recipes", §4.6.
pub(crate) fn gauss_hermite(n: usize) -> Vec<(f64, f64)> {
    let mut roots: Vec<f64> = Vec::with_capacity(n.div_ceil(2));
    let mut rule = Vec::with_capacity(n);
    let order = n as f64;
    for i in 0..n.div_ceil(2) {
        let mut x = match i {
            0 => (2.0 * order + 1.0).sqrt() - 1.85575 * libm::pow(2.0 * order + 1.0, -0.16667),
            1 => roots[0] - 1.14 * libm::pow(order, 0.426) / roots[0],
            2 => 1.86 * roots[1] - 0.86 * roots[0],
            3 => 1.91 * roots[2] - 0.91 * roots[1],
            _ => 2.0 * roots[i - 1] - roots[i - 2],
        };
        let mut derivative = 1.0;
        for _ in 0..100 {
            // Orthonormal Hermite polynomials by their recurrence.
            let (mut p, mut before) = (libm::pow(std::f64::consts::PI, -0.25), 0.0);
            for j in 0..n {
                let k = j as f64;
                (p, before) = (x * (2.0 / (k + 1.0)).sqrt() * p - (k / (k + 1.0)).sqrt() * before, p);
            }
            derivative = (2.0 * order).sqrt() * before;
            let step = p / derivative;
            x -= step;
            if step.abs() < 1e-15 {
                break;
            }
        }
        roots.push(x);
        let weight = 2.0 / (derivative * derivative) / std::f64::consts::PI.sqrt();
        let node = std::f64::consts::SQRT_2 * x;
        rule.push((node, weight));
        if 2 * i + 1 != n {
            rule.push((-node, weight));
        }
    }
    rule
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_the_normal_are_exact() {
        let rule = gauss_hermite(41);
        assert_eq!(rule.len(), 41);
        // E Zᵏ = (k − 1)!! for even k.
        let mut moment = 1.0;
        for k in (0..=20).step_by(2) {
            let sum: f64 = rule.iter().map(|(x, w)| w * x.powi(k)).sum();
            assert!((sum / moment - 1.0).abs() < 1e-10, "{k}: {sum} {moment}");
            moment *= f64::from(k + 1);
        }
    }
}
