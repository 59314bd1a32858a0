//! Pictures of a search, as self-contained SVG: panels of points, bars, and parallel coordinates.

use std::fmt::Write;

/// A value on an axis: of a number its place, of a word its place among the words.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Its name.
    pub name: String,
    /// Smallest and largest value.
    pub range: (f64, f64),
    /// Whether it is drawn by its logarithm.
    pub logarithmic: bool,
    /// Words for 0, 1, 2 …; none for numbers.
    pub words: Vec<String>,
}

/// A point of a panel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Across.
    pub x: f64,
    /// Up.
    pub y: f64,
    /// From 0, worst, to 1, best: how dark it is; none for a hollow one.
    pub shade: Option<f64>,
}

/// A line of a panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// Its corners.
    pub points: Vec<(f64, f64)>,
}

/// Points over two axes, and lines.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// Across.
    pub across: Axis,
    /// Up.
    pub up: Axis,
    /// The points.
    pub points: Vec<Point>,
    /// The lines; named in a legend where there are several.
    pub lines: Vec<Line>,
}

const LINES: [&str; 6] = ["#d77814", "#145aa0", "#288c46", "#a03c8c", "#b42828", "#5a5a5a"];
const HEIGHT: f64 = 240.0;
const MARGIN: (f64, f64, f64, f64) = (64.0, 24.0, 14.0, 44.0);

impl Axis {
    /// An axis over `values`, with a little room around them.
    #[must_use]
    pub fn over(name: &str, values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values
            .filter(|v| v.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        let room = (0.05 * (high - low)).max(1e-9);
        Self {
            name: name.to_owned(),
            range: (low - room, high + room),
            logarithmic: false,
            words: Vec::new(),
        }
    }

    /// Where `value` is, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let by = |x: f64| if self.logarithmic { libm::log(x.max(1e-300)) } else { x };
        let (low, high) = (by(self.range.0), by(self.range.1));
        if high > low { ((by(value) - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 }
    }

    /// Values to be written, with what is written.
    fn ticks(&self) -> Vec<(f64, String)> {
        if !self.words.is_empty() {
            return self.words.iter().enumerate().map(|(i, word)| (i as f64, word.clone())).collect();
        }
        let (low, high) = self.range;
        let at = |share: f64| {
            if self.logarithmic { low * libm::pow(high / low, share) } else { low + (high - low) * share }
        };
        [0.0, 0.5, 1.0].iter().map(|&share| (at(share), number(at(share)))).collect()
    }
}

fn number(x: f64) -> String {
    match x.abs() {
        0.0 => "0".to_owned(),
        a if !(1e-3..1e5).contains(&a) => format!("{x:.1e}"),
        a if a >= 100.0 => format!("{x:.0}"),
        a if a >= 1.0 => format!("{x:.2}"),
        _ => format!("{x:.4}"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn colour(shade: f64) -> String {
    let mix = |from: f64, to: f64| from + (to - from) * shade.clamp(0.0, 1.0);
    format!("rgb({:.0},{:.0},{:.0})", mix(205.0, 20.0), mix(222.0, 70.0), mix(240.0, 150.0))
}

fn open(width: f64, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    )
}

/// Draws `panels` side by side, `columns` a row, each `width` wide.
#[must_use]
pub fn panels(panels: &[Panel], columns: usize, width: f64) -> String {
    let columns = columns.clamp(1, panels.len().max(1));
    let rows = panels.len().div_ceil(columns);
    let mut svg = open(width * columns as f64, HEIGHT * rows as f64);
    for (index, panel) in panels.iter().enumerate() {
        let corner = ((index % columns) as f64 * width, (index / columns) as f64 * HEIGHT);
        draw_panel(&mut svg, panel, corner, width);
    }
    svg + "</svg>\n"
}

fn draw_panel(svg: &mut String, panel: &Panel, corner: (f64, f64), width: f64) {
    let (left, right, top, bottom) = MARGIN;
    let (x0, y0) = (corner.0 + left, corner.1 + top);
    let (w, h) = (width - left - right, HEIGHT - top - bottom);
    let x = |value: f64| x0 + w * panel.across.place(value);
    let y = |value: f64| y0 + h * (1.0 - panel.up.place(value));
    // Writing to a string cannot fail.
    let _ = writeln!(
        svg,
        "<rect x=\"{x0:.1}\" y=\"{y0:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" fill=\"none\" stroke=\"#999\"/>"
    );
    for (value, text) in panel.across.ticks() {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#444\">{}</text>",
            x(value),
            y0 + h + 15.0,
            escaped(&text)
        );
    }
    for (value, text) in panel.up.ticks() {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#444\">{}</text>",
            x0 - 5.0,
            y(value) + 4.0,
            escaped(&text)
        );
    }
    let name = escaped(&panel.across.name);
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-weight=\"bold\">{name}</text>",
        x0 + w / 2.0,
        y0 + h + 32.0
    );
    for (index, line) in panel.lines.iter().enumerate() {
        let colour = LINES[index % LINES.len()];
        let corners: Vec<String> =
            line.points.iter().map(|(a, b)| format!("{:.1},{:.1}", x(*a), y(*b))).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
            corners.join(" ")
        );
        if panel.lines.len() > 1 {
            let name = escaped(&line.name);
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"{colour}\">{name}</text>",
                x0 + w - 6.0,
                y0 + 14.0 + 13.0 * index as f64
            );
        }
    }
    for point in &panel.points {
        let (fill, stroke) = match point.shade {
            Some(shade) => (colour(shade), "#456"),
            None => ("none".to_owned(), "#b33"),
        };
        let _ = writeln!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{fill}\" stroke=\"{stroke}\" stroke-width=\"0.6\"/>",
            x(point.x),
            y(point.y)
        );
    }
}

/// Draws a bar for every name, of its share of the longest.
#[must_use]
pub fn bars(of: &[(String, f64)]) -> String {
    let (left, width) = (230.0, 900.0);
    let mut svg = open(width, 24.0 * of.len().max(1) as f64 + 10.0);
    let longest = of.iter().map(|(_, value)| *value).fold(1e-12, f64::max);
    for (index, (name, value)) in of.iter().enumerate() {
        let y = 8.0 + 24.0 * index as f64;
        let length = (width - left - 80.0) * (value / longest).clamp(0.0, 1.0);
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 8.0,
            y + 13.0,
            escaped(name)
        );
        let _ = writeln!(
            svg,
            "<rect x=\"{left:.1}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"18\" fill=\"#145aa0\"/>"
        );
        let _ =
            writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\">{value:.3}</text>", left + length + 6.0, y + 13.0);
    }
    svg + "</svg>\n"
}

/// Draws every row as a line over the axes, dark where its shade is near 1; a value that is not there breaks the line.
#[must_use]
pub fn parallel(axes: &[Axis], rows: &[(Vec<Option<f64>>, f64)]) -> String {
    let (left, step, height, top) = (60.0, 150.0, 340.0, 20.0);
    let mut svg = open(left * 2.0 + step * axes.len().saturating_sub(1) as f64, height);
    let h = height - 80.0;
    let x = |index: usize| left + step * index as f64;
    let mut order: Vec<&(Vec<Option<f64>>, f64)> = rows.iter().collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    for (values, shade) in order {
        let mut path = String::new();
        let mut pen_down = false;
        for (index, (axis, value)) in axes.iter().zip(values).enumerate() {
            let Some(value) = value else {
                pen_down = false;
                continue;
            };
            let y = top + h * (1.0 - axis.place(*value));
            let _ = write!(path, "{}{:.1} {:.1} ", if pen_down { "L" } else { "M" }, x(index), y);
            pen_down = true;
        }
        let _ = writeln!(
            svg,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.3\" opacity=\"0.8\"/>",
            colour(*shade)
        );
    }
    for (index, axis) in axes.iter().enumerate() {
        let _ = writeln!(
            svg,
            "<line x1=\"{0:.1}\" y1=\"{top:.1}\" x2=\"{0:.1}\" y2=\"{1:.1}\" stroke=\"#333\"/>",
            x(index),
            top + h
        );
        for (value, text) in axis.ticks() {
            let y = top + h * (1.0 - axis.place(value));
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"#444\">{}</text>",
                x(index) + 4.0,
                y + 4.0,
                escaped(&text)
            );
        }
        let (y, name) = (top + h + if index % 2 == 0 { 24.0 } else { 42.0 }, escaped(&axis.name));
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{y:.1}\" text-anchor=\"middle\" font-weight=\"bold\">{name}</text>",
            x(index)
        );
    }
    svg + "</svg>\n"
}
