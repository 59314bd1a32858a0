//! An ensemble against what its members say, worked out by hand, and against the same members run alone.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use cambist_core::policy::{ActionMode, Policy, PolicyInput, PolicyOutput};
use cambist_policy::{
    Activation, ActorCritic, ActorCriticSpec, AgentPolicy, Combination, Ensemble, EnsemblePolicy,
    EnsembleSpec, Head, MemberSpec, PolicySpec, TrainedPolicy, Trunk, Wish, weights,
};

const COLUMNS: usize = 3;

fn shape(head: Head, trunk: Trunk, hidden: &[usize]) -> ActorCriticSpec {
    ActorCriticSpec {
        observation: COLUMNS,
        trunk,
        hidden: hidden.to_vec(),
        activation: Activation::Tanh,
        head,
    }
}

/// A network without hidden layers whose outputs are `outputs` and whose value is `value`, whatever it sees.
fn constant(head: Head, outputs: &[f32], value: f32) -> ActorCritic {
    let spec = shape(head, Trunk::None, &[]);
    let mut parameters = vec![0.0; spec.n_parameters()];
    for (name, _, place) in spec.tensors() {
        match name.as_str() {
            "actor.0.bias" => parameters[place].copy_from_slice(outputs),
            "critic.0.bias" => parameters[place].copy_from_slice(&[value]),
            _ => {}
        }
    }
    ActorCritic::new(spec, parameters).unwrap()
}

fn positions(wanted: &[f32]) -> Vec<ActorCritic> {
    let one = |(index, &p): (usize, &f32)| constant(Head::Gaussian { dim: 1 }, &[p], index as f32);
    wanted.iter().enumerate().map(one).collect()
}

fn choices(wanted: &[usize]) -> Vec<ActorCritic> {
    let logits = |choice: usize| [0, 1, 2].map(|c| if c == choice { 3.0 } else { 0.0 });
    wanted.iter().map(|&choice| constant(Head::Categorical { n: 3 }, &logits(choice), 0.0)).collect()
}

fn spec(members: &[ActorCritic], wish: Wish, combination: Combination, disagreement: f64) -> EnsembleSpec {
    let member = |m: &ActorCritic| MemberSpec { network: m.spec().clone(), own_columns: Vec::new() };
    EnsembleSpec {
        members: members.iter().map(member).collect(),
        wish,
        low: -1.0,
        combination,
        weights: vec![vec![1.0 / members.len() as f64; members.len()]],
        disagreement,
    }
}

/// What the ensemble asks for in one environment, and what it says that is worth.
fn asks(spec: EnsembleSpec, members: Vec<ActorCritic>, regime: Option<u8>) -> (Vec<f32>, f32) {
    let width = spec.wish.width();
    let mut policy = EnsemblePolicy::new(Ensemble::new(spec, members).unwrap(), ActionMode::Greedy, 1, 0);
    let (mut actions, mut log_probabilities, mut values) = (vec![0.0; width], [0.0], [0.0]);
    let input = PolicyInput { observations: &[0.1, 0.2, 0.3], mask: None, state: &[], regimes: &[regime] };
    let mut output = PolicyOutput {
        actions: &mut actions,
        log_probabilities: &mut log_probabilities,
        values: &mut values,
        state: &mut [],
    };
    policy.act(input, &mut output);
    assert!(log_probabilities[0].is_nan(), "a combined action has no probability of its own");
    (actions, values[0])
}

fn near(found: f32, wanted: f64) {
    assert!((f64::from(found) - wanted).abs() < 1e-6, "{found} for {wanted}");
}

fn three() -> Wish {
    Wish::Choice(vec![-1.0, 0.0, 1.0])
}

#[test]
fn the_mean_is_scaled_by_disagreement() {
    // Targets 1, 0.5 and −0.3: mean 0.4, variance (0.36 + 0.01 + 0.49) / 3. 7 and −0.3 are cut to 1 and −0.3.
    let members = positions(&[7.0, 0.5, -0.3]);
    let deviation = libm::sqrt(0.86 / 3.0);
    for kappa in [0.0, 0.5, 1.0] {
        let (action, value) =
            asks(spec(&members, Wish::Target, Combination::Mean, kappa), members.clone(), None);
        near(action[0], 0.4 * (1.0 - kappa * deviation));
        near(value, 1.0);
    }
    // So much disagreement that nothing is left.
    let (action, _) = asks(spec(&members, Wish::Target, Combination::Mean, 3.0), members.clone(), None);
    assert_eq!(action, [0.0]);
    // Of one mind: nothing is taken away.
    let agreed = positions(&[0.7; 4]);
    near(asks(spec(&agreed, Wish::Target, Combination::Mean, 5.0), agreed, None).0[0], 0.7);
    // Of as many for as against nothing is left, not even what rounding leaves.
    let opposed = positions(&[1.0, 1.0, 1.0, -1.0, -1.0, -1.0]);
    assert_eq!(asks(spec(&opposed, Wish::Target, Combination::Mean, 0.5), opposed, None).0, [0.0]);
    // What is no number asks for nothing.
    let odd = positions(&[f32::NAN, 0.5]);
    near(asks(spec(&odd, Wish::Target, Combination::Mean, 0.0), odd, None).0[0], 0.25);
}

#[test]
fn a_majority_takes_the_most_frequent_choice_or_the_median() {
    let majority = |wanted: &[usize], kappa| {
        let members = choices(wanted);
        asks(spec(&members, three(), Combination::Majority, kappa), members, None).0[0]
    };
    near(majority(&[2, 2, 0], 0.0), 1.0);
    near(majority(&[0, 1, 0, 2, 0], 0.0), -1.0);
    // Of ties the one nearest to flat; of long and short neither.
    near(majority(&[1, 2, 1, 2], 0.0), 0.0);
    near(majority(&[2, 0, 2, 0], 0.0), 0.0);
    // Two of three long: 1, and the targets' deviation is sqrt(8/9).
    near(majority(&[2, 2, 0], 1.0), 1.0 - libm::sqrt(8.0) / 3.0);
    let members = positions(&[0.9, -0.2, 0.1, -1.0, 0.3]);
    near(asks(spec(&members, Wish::Target, Combination::Majority, 0.0), members, None).0[0], 0.1);
    let members = positions(&[0.9, -0.2, 0.1, 0.3]);
    near(asks(spec(&members, Wish::Target, Combination::Majority, 0.0), members, None).0[0], 0.2);
}

#[test]
fn weights_are_of_the_regime() {
    let members = positions(&[1.0, -1.0, 0.0]);
    let mut shape = spec(&members, Wish::Target, Combination::Weighted, 0.0);
    shape.weights = vec![vec![0.5, 0.25, 0.25], vec![1.0, 0.0, 0.0], vec![0.0, 0.75, 0.25]];
    let ask = |regime| asks(shape.clone(), members.clone(), regime);
    near(ask(None).0[0], 0.25);
    near(ask(Some(0)).0[0], 1.0);
    near(ask(Some(1)).0[0], -0.75);
    near(ask(Some(1)).1, 0.75 + 0.5);
    // A regime nobody weighed counts as one that is not known.
    near(ask(Some(7)).0[0], 0.25);
}

#[test]
fn bands_and_shorts() {
    let bands = [[0.2, 0.6], [0.4, -0.4]];
    let members: Vec<_> = bands.iter().map(|b| constant(Head::Gaussian { dim: 2 }, b, 0.0)).collect();
    let (action, _) = asks(spec(&members, Wish::Band, Combination::Mean, 0.0), members.clone(), None);
    near(action[0], -0.1);
    near(action[1], 0.5);
    // Centres 0.4 and 0: deviation 0.2.
    let (action, _) = asks(spec(&members, Wish::Band, Combination::Mean, 1.0), members, None);
    near(action[0], -0.08);
    near(action[1], 0.4);
    // Where nothing is sold short, the choice of short is closed, and a negative target is none.
    let members = vec![constant(Head::Categorical { n: 3 }, &[5.0, 0.0, 1.0], 0.0); 2];
    let long = EnsembleSpec { low: 0.0, ..spec(&members, three(), Combination::Mean, 0.0) };
    near(asks(long, members, None).0[0], 1.0);
    let members = positions(&[-1.0, 0.5]);
    let long = EnsembleSpec { low: 0.0, ..spec(&members, Wish::Target, Combination::Mean, 0.0) };
    near(asks(long, members, None).0[0], 0.25);
}

/// A network with memory and weights that differ by `seed`.
fn remembering(seed: u32, trunk: Trunk) -> ActorCritic {
    let spec = shape(Head::Gaussian { dim: 1 }, trunk, &[5]);
    let noise = |i: u32| {
        let bits = (i ^ seed.rotate_left(13)).wrapping_mul(2_654_435_761).rotate_left(7);
        (bits.wrapping_mul(40_503) >> 8) as f32 / 16_777_216.0 - 0.5
    };
    let parameters = (0..spec.n_parameters() as u32).map(noise).collect();
    ActorCritic::new(spec, parameters).unwrap()
}

#[test]
fn members_remember_as_they_would_alone() {
    const N: usize = 3;
    let trunks = [Trunk::Gru { width: 4 }, Trunk::None, Trunk::Lstm { width: 2 }];
    let members: Vec<ActorCritic> =
        trunks.iter().enumerate().map(|(i, &trunk)| remembering(i as u32, trunk)).collect();
    let mut shape = spec(&members, Wish::Target, Combination::Mean, 0.0);
    shape.members[1].own_columns = vec![(2, 0.75)];
    let ensemble = Ensemble::new(shape, members.clone()).unwrap();
    let mut together = EnsemblePolicy::new(ensemble, ActionMode::Greedy, 9, 0);
    let wide = together.state_width();
    assert_eq!(wide, 4 + 2 * 2);
    let mut alone: Vec<(AgentPolicy, Vec<f32>)> = members
        .iter()
        .map(|member| {
            let policy = AgentPolicy::new(member.clone(), ActionMode::Greedy, 9, 0);
            let state = vec![0.0; N * policy.state_width()];
            (policy, state)
        })
        .collect();
    let mut state = vec![0.0; N * wide];
    for step in 0..20 {
        let seen: Vec<f32> = (0..N * COLUMNS).map(|i| ((step * 7 + i * 3) % 11) as f32 / 5.0 - 1.0).collect();
        let act = |policy: &mut dyn Policy, seen: &[f32], state: &mut Vec<f32>| {
            let (mut actions, mut other, mut after) = ([0.0; N], [0.0; N], vec![0.0; state.len()]);
            let input = PolicyInput { observations: seen, mask: None, state, regimes: &[] };
            let mut values = [0.0; N];
            let mut output = PolicyOutput {
                actions: &mut actions,
                log_probabilities: &mut other,
                values: &mut values,
                state: &mut after,
            };
            policy.act(input, &mut output);
            *state = after;
            actions
        };
        let found = act(&mut together, &seen, &mut state);
        let mut sums = [0.0f64; N];
        for (index, (policy, state)) in alone.iter_mut().enumerate() {
            let mut own = seen.clone();
            if index == 1 {
                own.chunks_exact_mut(COLUMNS).for_each(|row| row[2] = 0.75);
            }
            let actions = act(policy, &own, state);
            sums.iter_mut().zip(actions).for_each(|(sum, a)| *sum += f64::from(a.clamp(-1.0, 1.0)) / 3.0);
        }
        found.iter().zip(sums).for_each(|(&found, wanted)| near(found, wanted));
    }
    assert!(state.iter().any(|s| *s != 0.0));
}

#[test]
fn weights_come_back_and_faults_are_named() {
    let members = vec![remembering(1, Trunk::None), remembering(2, Trunk::Gru { width: 3 })];
    let shape = spec(&members, Wish::Target, Combination::Mean, 1.0);
    let policy = TrainedPolicy::Ensemble(Ensemble::new(shape.clone(), members.clone()).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    weights::save(&policy, &path).unwrap();
    assert_eq!(weights::load(&policy.spec(), &path).unwrap(), policy);
    let single = PolicySpec::Single(members[0].spec().clone());
    let said = weights::load(&single, &path).unwrap_err().to_string();
    assert!(said.contains("'actor.0.weight' is missing"), "{said}");

    let fault = |change: &dyn Fn(&mut EnsembleSpec)| {
        let mut broken = shape.clone();
        change(&mut broken);
        Ensemble::new(broken, members.clone()).unwrap_err()
    };
    assert!(fault(&|s| s.members.clear()).contains("no members"));
    assert!(fault(&|s| s.weights[0][0] = 0.7).contains("sum to one"));
    assert!(fault(&|s| s.weights[0][0] = f64::NAN).contains("sum to one"));
    assert!(fault(&|s| s.weights.clear()).contains("no weights"));
    assert!(fault(&|s| s.wish = Wish::Band).contains("which is no Band"));
    assert!(fault(&|s| s.members[1].network.observation = 4).contains("sees 4 columns"));
    assert!(fault(&|s| s.members[0].own_columns = vec![(3, 0.0)]).contains("column 3"));
    assert!(fault(&|s| s.disagreement = -1.0).contains("disagreement is -1"));
    assert!(fault(&|s| s.members.swap(0, 1)).contains("not of its shape"));
}
