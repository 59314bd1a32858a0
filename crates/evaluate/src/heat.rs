//! A heat map as self-contained SVG.

use plotters::prelude::*;

use crate::chart::ChartError;

/// A value by two axes.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    /// Above it.
    pub title: String,
    /// Name and values along the bottom.
    pub across: (String, Vec<String>),
    /// Name and values up the side.
    pub up: (String, Vec<String>),
    /// `[up × across]`; NaN where there is none.
    pub values: Vec<f64>,
}

const CELL: (i32, i32) = (64, 30);
const MARGIN: (i32, i32) = (110, 40);

/// Draws `map`: green above zero, red below, the number in every cell.
///
/// # Errors
/// When the drawing library refuses.
pub fn draw(map: &HeatMap) -> Result<String, ChartError> {
    let mut svg = String::new();
    paint(&mut svg, map).map_err(|e| ChartError { title: map.title.clone(), reason: e.to_string() })?;
    Ok(svg)
}

fn paint(svg: &mut String, map: &HeatMap) -> Result<(), Box<dyn std::error::Error>> {
    let (columns, rows) = (map.across.1.len() as i32, map.up.1.len() as i32);
    let size = (MARGIN.0 + columns * CELL.0 + 16, MARGIN.1 + rows * CELL.1 + 50);
    let root = SVGBackend::with_string(svg, (size.0.max(320) as u32, size.1 as u32)).into_drawing_area();
    let text = ("sans-serif", 11).into_font();
    root.draw(&Text::new(map.title.clone(), (MARGIN.0, 10), ("sans-serif", 15).into_font()))?;
    let largest = map.values.iter().filter(|v| v.is_finite()).fold(1e-12f64, |a, v| a.max(v.abs()));
    for (row, name) in (0i32..).zip(&map.up.1) {
        let y = MARGIN.1 + (rows - 1 - row) * CELL.1;
        root.draw(&Text::new(name.clone(), (MARGIN.0 - 60, y + CELL.1 / 2 - 5), text.clone()))?;
        for (column, _) in (0i32..).zip(&map.across.1) {
            let x = MARGIN.0 + column * CELL.0;
            let value = map.values[(row * columns + column) as usize];
            let corners = [(x, y), (x + CELL.0 - 1, y + CELL.1 - 1)];
            root.draw(&Rectangle::new(corners, colour(value / largest).filled()))?;
            if value.is_finite() {
                let shown = format!("{value:.2}");
                root.draw(&Text::new(shown, (x + 14, y + CELL.1 / 2 - 5), text.clone()))?;
            }
        }
    }
    let below = MARGIN.1 + rows * CELL.1 + 6;
    for (column, name) in (0i32..).zip(&map.across.1) {
        root.draw(&Text::new(name.clone(), (MARGIN.0 + column * CELL.0 + 14, below), text.clone()))?;
    }
    root.draw(&Text::new(map.across.0.clone(), (MARGIN.0, below + 20), text.clone()))?;
    root.draw(&Text::new(map.up.0.clone(), (4, MARGIN.1), text))?;
    root.present()?;
    drop(root);
    Ok(())
}

fn colour(share: f64) -> RGBColor {
    if !share.is_finite() {
        return RGBColor(235, 235, 235);
    }
    let fade = |full: u8| (255.0 - (255.0 - f64::from(full)) * share.abs().min(1.0)) as u8;
    let [r, g, b] = if share >= 0.0 { [90, 175, 110] } else { [215, 100, 90] };
    RGBColor(fade(r), fade(g), fade(b))
}
