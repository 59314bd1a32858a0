//! Charts as self-contained SVG.

use cambist_core::UnixNanos;
use plotters::prelude::*;

/// A chart could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw '{title}': {reason}")]
pub struct ChartError {
    /// Which.
    pub title: String,
    /// Why.
    pub reason: String,
}

/// One line of a chart.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// Its name in the legend.
    pub name: &'a str,
    /// Its values, one a stamp.
    pub values: &'a [f64],
}

/// How a chart looks.
#[derive(Debug, Clone, Copy)]
pub struct Style<'a> {
    /// Above the chart.
    pub title: &'a str,
    /// Beside the vertical axis.
    pub unit: &'a str,
    /// Whether the vertical axis is logarithmic.
    pub logarithmic: bool,
    /// Whether the area to zero is filled.
    pub filled: bool,
}

const SIZE: (u32, u32) = (980, 320);
/// Width of the legend.
const LEGEND: u32 = 180;
const MAX_POINTS: usize = 1500;
const COLOURS: [RGBColor; 8] = [
    RGBColor(20, 90, 160),
    RGBColor(215, 120, 20),
    RGBColor(90, 90, 90),
    RGBColor(40, 140, 70),
    RGBColor(160, 60, 140),
    RGBColor(180, 40, 40),
    RGBColor(110, 160, 200),
    RGBColor(150, 130, 60),
];

const SHADES: [RGBColor; 6] = [
    RGBColor(214, 234, 248),
    RGBColor(250, 215, 190),
    RGBColor(220, 240, 215),
    RGBColor(240, 205, 215),
    RGBColor(245, 240, 200),
    RGBColor(225, 215, 240),
];

/// Lines over time.
///
/// # Errors
/// When the drawing library refuses.
pub fn lines(style: &Style<'_>, time: &[UnixNanos], lines: &[Line<'_>]) -> Result<String, ChartError> {
    shaded(style, time, lines, &Shades { names: &[], labels: &[] })
}

/// Which state each stamp is in, drawn as the background.
#[derive(Debug, Clone, Copy)]
pub struct Shades<'a> {
    /// Names of the states.
    pub names: &'a [String],
    /// Index of the state, one a stamp; none for no shade.
    pub labels: &'a [Option<u8>],
}

/// Lines over time, with the background shaded by state.
///
/// # Errors
/// When the drawing library refuses.
pub fn shaded(
    style: &Style<'_>,
    time: &[UnixNanos],
    lines: &[Line<'_>],
    shades: &Shades<'_>,
) -> Result<String, ChartError> {
    let mut svg = String::new();
    draw_lines(&mut svg, style, time, lines, shades)
        .map_err(|e| ChartError { title: style.title.to_owned(), reason: e.to_string() })?;
    Ok(svg)
}

fn draw_lines(
    svg: &mut String,
    style: &Style<'_>,
    time: &[UnixNanos],
    lines: &[Line<'_>],
    shades: &Shades<'_>,
) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let has_legend = lines.len() > 1 && !style.filled || !shades.names.is_empty();
    let step = time.len().div_ceil(MAX_POINTS).max(1);
    let picked = || (0..time.len()).step_by(step).chain(time.len().checked_sub(1).filter(|l| l % step != 0));
    let shown = |v: f64| if style.logarithmic { libm::log10(v.max(1e-9)) } else { v };
    let values = || lines.iter().flat_map(|l| picked().filter_map(|i| l.values.get(i))).map(|&v| shown(v));
    let (low, high) = values()
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
    let margin = (0.05 * (high - low)).max(1e-6);
    let seconds = |i: usize| time[i].seconds() as f64;
    let (first, last) = match time.len() {
        0 => (0.0, 1.0),
        n => (seconds(0), seconds(n - 1).max(seconds(0) + 1.0)),
    };
    let top = if style.filled { high.max(0.0) + 0.2 * margin } else { high + margin };
    let mut chart = ChartBuilder::on(&root)
        .caption(style.title, ("sans-serif", 16))
        .margin(8)
        .margin_right(if has_legend { LEGEND } else { 8 })
        .x_label_area_size(24)
        .y_label_area_size(64)
        .build_cartesian_2d(first..last, (low - margin)..top)?;
    let label = |v: &f64| {
        let v = if style.logarithmic { libm::pow(10.0, *v) } else { *v };
        let size = v.abs();
        if size >= 1000.0 {
            format!("{v:.0}")
        } else if size >= 10.0 {
            format!("{v:.1}")
        } else {
            format!("{v:.3}")
        }
    };
    let date = |s: &f64| UnixNanos(*s as i64 * 1_000_000_000).civil().date().to_string();
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(230, 230, 230))
        .x_labels(8)
        .y_labels(6)
        .x_label_formatter(&date)
        .y_label_formatter(&label)
        .y_desc(style.unit)
        .label_style(("sans-serif", 11))
        .draw()?;
    // Neighbours in one state make one rectangle.
    let mut from = 0;
    for run in shades.labels.chunk_by(|a, b| a == b) {
        let until = (from + run.len()).min(time.len().saturating_sub(1));
        if let Some(state) = run[0]
            && from < until
        {
            let corners = [(seconds(from), low - margin), (seconds(until), top)];
            chart.draw_series([Rectangle::new(corners, shade(state).filled())])?;
        }
        from += run.len();
    }
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let points: Vec<(f64, f64)> = picked()
            .filter_map(|i| Some((seconds(i), shown(*line.values.get(i)?))))
            .filter(|(_, v)| v.is_finite())
            .collect();
        let width = if std::ptr::eq(line, &raw const lines[0]) { 2 } else { 1 };
        if style.filled {
            chart.draw_series(
                AreaSeries::new(points, 0.0, colour.mix(0.25)).border_style(colour.stroke_width(1)),
            )?;
            continue;
        }
        chart.draw_series(LineSeries::new(points, colour.stroke_width(width)))?;
    }
    if has_legend {
        // Beside the chart, where it hides nothing.
        for (row, (line, colour)) in (0i32..).zip(lines.iter().zip(COLOURS.iter().cycle())) {
            let (x, y) = ((SIZE.0 - LEGEND) as i32 + 6, 40 + 18 * row);
            root.draw(&PathElement::new(vec![(x, y), (x + 14, y)], colour.stroke_width(2)))?;
            root.draw(&Text::new(line.name.to_owned(), (x + 20, y - 5), ("sans-serif", 11).into_font()))?;
        }
        for (row, name) in (0u8..).zip(shades.names) {
            let (x, y) = ((SIZE.0 - LEGEND) as i32 + 6, 40 + 18 * (lines.len() as i32 + i32::from(row)));
            root.draw(&Rectangle::new([(x, y - 5), (x + 14, y + 5)], shade(row).filled()))?;
            root.draw(&Text::new(name.clone(), (x + 20, y - 5), ("sans-serif", 11).into_font()))?;
        }
    }
    root.present()?;
    drop(chart);
    drop(root);
    Ok(())
}

/// The background of a state.
fn shade(state: u8) -> RGBColor {
    SHADES[usize::from(state) % SHADES.len()]
}

/// A table of monthly returns as coloured cells, a row a year.
///
/// # Errors
/// When the drawing library refuses.
pub fn months(title: &str, cells: &[(i32, u32, f64)]) -> Result<String, ChartError> {
    let mut svg = String::new();
    draw_months(&mut svg, title, cells)
        .map_err(|e| ChartError { title: title.to_owned(), reason: e.to_string() })?;
    Ok(svg)
}

fn draw_months(
    svg: &mut String,
    title: &str,
    cells: &[(i32, u32, f64)],
) -> Result<(), Box<dyn std::error::Error>> {
    const NAMES: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let first = cells.iter().map(|c| c.0).min().unwrap_or(0);
    let n_years = cells.iter().map(|c| c.0).max().unwrap_or(0) - first + 1;
    let (left, top, width, height) = (64, 52, 74, 28);
    let root =
        SVGBackend::with_string(svg, (SIZE.0, (top + n_years * height + 12) as u32)).into_drawing_area();
    let text = |size: i32| ("sans-serif", size).into_font();
    root.draw(&Text::new(title.to_owned(), (SIZE.0 as i32 / 2 - 60, 8), text(16)))?;
    for (month, name) in (0..).zip(NAMES) {
        root.draw(&Text::new(name, (left + month * width + 24, top - 18), text(12)))?;
    }
    for year in 0..n_years {
        root.draw(&Text::new((first + year).to_string(), (16, top + year * height + 8), text(12)))?;
    }
    for &(year, month, value) in cells {
        let (x, y) = (left + (month as i32 - 1) * width, top + (year - first) * height);
        let strength = (value.abs() / 0.15).min(1.0);
        let tint = if value >= 0.0 { RGBColor(40, 140, 70) } else { RGBColor(180, 40, 40) };
        root.draw(&Rectangle::new(
            [(x, y), (x + width - 2, y + height - 2)],
            tint.mix(0.1 + 0.6 * strength).filled(),
        ))?;
        root.draw(&Text::new(format!("{:+.1} %", 100.0 * value), (x + 14, y + 8), text(12)))?;
    }
    root.present()?;
    drop(root);
    Ok(())
}

/// One bar cut into named parts, with each one's share.
///
/// # Errors
/// When the drawing library refuses.
pub fn parts(title: &str, parts: &[(&str, f64)]) -> Result<String, ChartError> {
    let mut svg = String::new();
    draw_parts(&mut svg, title, parts)
        .map_err(|e| ChartError { title: title.to_owned(), reason: e.to_string() })?;
    Ok(svg)
}

fn draw_parts(
    svg: &mut String,
    title: &str,
    parts: &[(&str, f64)],
) -> Result<(), Box<dyn std::error::Error>> {
    let (left, width, top, height) = (20, SIZE.0 as i32 - 40, 40, 60);
    let rows = parts.len() as i32;
    let root =
        SVGBackend::with_string(svg, (SIZE.0, (top + height + 24 + 20 * rows) as u32)).into_drawing_area();
    let text = |size: i32| ("sans-serif", size).into_font();
    root.draw(&Text::new(title.to_owned(), (left, 10), text(16)))?;
    let total: f64 = parts.iter().map(|p| p.1).sum();
    let mut from = 0.0;
    for (row, ((name, value), colour)) in (0i32..).zip(parts.iter().zip(COLOURS.iter().cycle())) {
        let place = |v: f64| left + (f64::from(width) * v / total.max(1e-12)) as i32;
        let corners = [(place(from), top), (place(from + value), top + height)];
        root.draw(&Rectangle::new(corners, colour.mix(0.7).filled()))?;
        let y = top + height + 16 + 20 * row;
        root.draw(&Rectangle::new([(left, y), (left + 12, y + 12)], colour.mix(0.7).filled()))?;
        let said = format!("{name}: {:.2} ms, {:.1} %", 1e3 * value, 100.0 * value / total.max(1e-12));
        root.draw(&Text::new(said, (left + 20, y), text(13)))?;
        from += value;
    }
    root.present()?;
    drop(root);
    Ok(())
}

/// A line over numbers.
#[derive(Debug, Clone)]
pub struct Curve {
    /// Its name in the legend.
    pub name: String,
    /// Its points.
    pub points: Vec<(f64, f64)>,
    /// Which colour; curves may share one.
    pub colour: usize,
    /// Whether it is dashed.
    pub dashed: bool,
}

/// Lines over numbers, with a legend beside them.
///
/// # Errors
/// When the drawing library refuses.
pub fn curves(title: &str, across: &str, up: &str, curves: &[Curve]) -> Result<String, ChartError> {
    let mut svg = String::new();
    draw_curves(&mut svg, title, across, up, curves)
        .map_err(|e| ChartError { title: title.to_owned(), reason: e.to_string() })?;
    Ok(svg)
}

fn draw_curves(
    svg: &mut String,
    title: &str,
    across: &str,
    up: &str,
    curves: &[Curve],
) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, (SIZE.0, 420)).into_drawing_area();
    let range = |of: fn(&(f64, f64)) -> f64| {
        let values = curves.iter().flat_map(|c| c.points.iter().map(of)).filter(|v| v.is_finite());
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        if low < high { (low, high) } else { (low.min(0.0) - 1.0, high.max(0.0) + 1.0) }
    };
    let ((left, right), (low, high)) = (range(|p| p.0), range(|p| p.1));
    let margin = 0.05 * (high - low);
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 16))
        .margin(8)
        .margin_right(LEGEND + 30)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d(left..right, (low - margin)..(high + margin))?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(230, 230, 230))
        .x_desc(across)
        .y_desc(up)
        .label_style(("sans-serif", 11))
        .draw()?;
    for (row, curve) in (0i32..).zip(curves) {
        let colour = COLOURS[curve.colour % COLOURS.len()];
        let (x, y) = ((SIZE.0 - LEGEND) as i32 - 24, 40 + 18 * row);
        let (sample, points) = (vec![(x, y), (x + 18, y)], curve.points.iter().copied());
        if curve.dashed {
            chart.draw_series(DashedLineSeries::new(points, 5, 4, colour.stroke_width(1)))?;
            root.draw(&PathElement::new(vec![(x, y), (x + 6, y)], colour.stroke_width(1)))?;
            root.draw(&PathElement::new(vec![(x + 12, y), (x + 18, y)], colour.stroke_width(1)))?;
        } else {
            chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?;
            root.draw(&PathElement::new(sample, colour.stroke_width(2)))?;
        }
        root.draw(&Text::new(curve.name.clone(), (x + 24, y - 5), ("sans-serif", 11).into_font()))?;
    }
    root.present()?;
    drop(chart);
    drop(root);
    Ok(())
}
