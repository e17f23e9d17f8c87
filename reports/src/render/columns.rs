//! Rows of text as a table for a terminal: each column is as wide as its longest cell.

/// A line for each row. The first `left` columns are flush left and the others flush right.
pub(super) fn lines(rows: &[Vec<String>], left: usize) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let longest =
        |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|at| longest(at).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(at, (cell, width))| {
            if at < left { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_runs_into_the_next_however_long_it_is() {
        let rows = [["agents", "law"], ["102", &"9".repeat(40)], ["2000 (é)", "—"]];
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect();
        let found = lines(&rows, 1);
        assert_eq!(found[0], format!("agents    {:>40}", "law"));
        assert_eq!(found[1], format!("102       {}", "9".repeat(40)));
        assert_eq!(found[2], format!("2000 (é)  {:>40}", "—"));
        assert_eq!(lines(&rows, 2)[2], "2000 (é)  —");
        assert!(lines(&[], 1).is_empty());
    }
}
