//! Lays out a table for the width at hand: whole if it fits, with its long columns cut or wrapped if not, and with those
//! below the rest where little room is left.

use super::console::visible;

/// Between two columns, and before what stands below.
const GAP: &str = "  ";
/// A long column narrower than that says too little: it goes on a line of its own.
const NARROWEST: usize = 24;
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// How a column takes a width that is less than its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Not at all.
    Whole,
    /// Not at all; numbers stand at the right.
    Right,
    /// It is cut at its end.
    End,
    /// It is cut in the middle, since its end tells most.
    Middle,
    /// It goes on in further lines.
    Wrap,
}

impl Fit {
    const fn is_long(self) -> bool {
        matches!(self, Self::End | Self::Middle | Self::Wrap)
    }
}

/// The table as text; `width` none is a width without end.
pub(crate) fn render(
    columns: &[(&str, Fit)],
    rows: &[Vec<String>],
    width: Option<usize>,
    is_coloured: bool,
) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| visible(cell)).collect()).collect();
    let naturals: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(place, (title, _))| {
            rows.iter().map(|row| columns_of(&row[place])).chain([columns_of(title)]).max().unwrap_or(0)
        })
        .collect();
    let layout = Layout { columns, naturals: &naturals, is_coloured };
    match layout.widths(width) {
        Some(widths) => layout.side_by_side(&rows, &widths),
        None => layout.stacked(&rows, width.unwrap_or(usize::MAX)),
    }
}

struct Layout<'a> {
    columns: &'a [(&'a str, Fit)],
    naturals: &'a [usize],
    is_coloured: bool,
}

impl Layout<'_> {
    /// The widths with which all columns stand side by side; none if there is too little room.
    fn widths(&self, width: Option<usize>) -> Option<Vec<usize>> {
        let gaps = GAP.len() * (self.columns.len() - 1);
        let Some(width) = width.filter(|width| self.naturals.iter().sum::<usize>() + gaps > *width) else {
            return Some(self.naturals.to_vec());
        };
        let is_long = |place: &usize| self.columns[*place].1.is_long();
        let fixed: usize =
            (0..self.columns.len()).filter(|place| !is_long(place)).map(|p| self.naturals[p]).sum();
        let mut room = width.checked_sub(fixed + gaps)?;
        let mut widths = self.naturals.to_vec();
        // The shorter take what they need, the longer share the rest.
        let mut long: Vec<usize> = (0..self.columns.len()).filter(is_long).collect();
        long.sort_by_key(|place| self.naturals[*place]);
        for (nth, place) in long.iter().enumerate() {
            widths[*place] = self.naturals[*place].min(room / (long.len() - nth));
            room -= widths[*place];
        }
        long.iter().all(|place| widths[*place] >= self.naturals[*place].min(NARROWEST)).then_some(widths)
    }

    fn side_by_side(&self, rows: &[Vec<String>], widths: &[usize]) -> String {
        let titles = self.columns.iter().map(|(title, _)| (*title).to_owned()).collect::<Vec<_>>();
        let mut text = self.styled(BOLD, &self.line(&titles, widths));
        for row in rows {
            text.push_str(&self.line(row, widths));
        }
        text
    }

    /// The short columns in a line as far as they fit, and each of the others below.
    fn stacked(&self, rows: &[Vec<String>], width: usize) -> String {
        let mut room = width.saturating_add(GAP.len());
        let mut short: Vec<usize> = Vec::new();
        for place in (0..self.columns.len()).filter(|place| !self.columns[*place].1.is_long()) {
            let needed = self.naturals[place] + GAP.len();
            if needed <= room || short.is_empty() {
                room = room.saturating_sub(needed);
                short.push(place);
            }
        }
        let columns: Vec<_> = short.iter().map(|place| self.columns[*place]).collect();
        let naturals: Vec<_> = short.iter().map(|place| self.naturals[*place]).collect();
        let inner = Layout { columns: &columns, naturals: &naturals, is_coloured: self.is_coloured };
        let titles: Vec<_> = columns.iter().map(|(title, _)| (*title).to_owned()).collect();
        let mut text = self.styled(BOLD, &inner.line(&titles, &naturals));
        for row in rows {
            let cells: Vec<_> = short.iter().map(|place| row[*place].clone()).collect();
            text.push_str(&inner.line(&cells, &naturals));
            let below = self.columns.iter().enumerate().filter(|(place, _)| !short.contains(place));
            for (place, (_, fit)) in below {
                for line in fitted(&row[place], width.saturating_sub(GAP.len()), *fit) {
                    if !line.is_empty() {
                        text.push_str(&self.styled(DIM, &format!("{GAP}{line}\n")));
                    }
                }
            }
        }
        text
    }

    /// One row: as many lines as its longest wrapped cell has.
    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let cells: Vec<Vec<String>> = cells
            .iter()
            .zip(widths)
            .zip(self.columns)
            .map(|((cell, width), (_, fit))| fitted(cell, *width, *fit))
            .collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(1);
        let mut text = String::new();
        for nth in 0..height {
            let mut line = String::new();
            for ((lines, width), (_, fit)) in cells.iter().zip(widths).zip(self.columns) {
                let cell = lines.get(nth).map_or("", String::as_str);
                let blanks = " ".repeat(width.saturating_sub(columns_of(cell)));
                let (before, after) = if *fit == Fit::Right { (&*blanks, "") } else { ("", &*blanks) };
                line.extend([before, cell, after, GAP]);
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn styled(&self, style: &str, line: &str) -> String {
        if self.is_coloured { format!("{style}{}{PLAIN}\n", line.trim_end()) } else { line.to_owned() }
    }
}

/// A cell in lines of that width.
fn fitted(cell: &str, width: usize, fit: Fit) -> Vec<String> {
    let length = columns_of(cell);
    if length <= width || !fit.is_long() {
        return vec![cell.to_owned()];
    }
    let head = |count: usize| cell.chars().take(count).collect::<String>();
    match fit {
        Fit::Middle => {
            let front = (width - 1) / 3;
            let tail: String = cell.chars().skip(length - (width - 1 - front)).collect();
            vec![format!("{}…{tail}", head(front))]
        }
        Fit::Wrap => wrapped(cell, width),
        _ => vec![format!("{}…", head(width - 1))],
    }
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if columns_of(line) + 1 + columns_of(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The columns that text takes on a terminal, as far as its characters are of the usual width.
fn columns_of(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [(&str, Fit); 4] =
        [("ID", Fit::Whole), ("OBJECT", Fit::Middle), ("AGE", Fit::Right), ("MESSAGE", Fit::End)];

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        vec![
            row([
                "0123",
                "bucket/AWSLogs/111122223333/CloudTrail/x.json.gz",
                "2h",
                "Sentinel answered 400 for it",
            ]),
            row(["4567", "b/k", "12m", ""]),
        ]
    }

    #[test]
    fn a_table_is_whole_where_it_fits_and_where_nobody_looks() {
        let whole = render(&COLUMNS, &rows(), None, false);
        insta::assert_snapshot!(whole, @"
        ID    OBJECT                                            AGE  MESSAGE
        0123  bucket/AWSLogs/111122223333/CloudTrail/x.json.gz   2h  Sentinel answered 400 for it
        4567  b/k                                               12m
        ");
        assert_eq!(render(&COLUMNS, &rows(), Some(89), false), whole);
    }

    #[test]
    fn long_columns_are_cut_and_where_little_room_is_left_stand_below() {
        insta::assert_snapshot!(render(&COLUMNS, &rows(), Some(70), false), @"
        ID    OBJECT                         AGE  MESSAGE
        0123  bucket/AW…loudTrail/x.json.gz   2h  Sentinel answered 400 for it
        4567  b/k                            12m
        ");
        insta::assert_snapshot!(render(&COLUMNS, &rows(), Some(40), false), @"
        ID    AGE
        0123   2h
          bucket/AWSLo…3333/CloudTrail/x.json.gz
          Sentinel answered 400 for it
        4567  12m
          b/k
        ");
    }

    #[test]
    fn no_line_is_wider_than_asked() {
        let wrap = [("A", Fit::Whole), ("B", Fit::Wrap)];
        let words = vec![vec!["aaaa".to_owned(), "what an operator does about it ".repeat(5)]];
        for width in 34..200 {
            for text in
                [render(&COLUMNS, &rows(), Some(width), false), render(&wrap, &words, Some(width), false)]
            {
                assert!(text.lines().all(|line| columns_of(line) <= width), "{width}\n{text}");
            }
        }
    }

    #[test]
    fn short_columns_that_have_no_room_stand_below() {
        let columns =
            [("ID", Fit::Whole), ("REASON", Fit::Whole), ("TABLE", Fit::Whole), ("AGE", Fit::Right)];
        let row = ["0123456789ab", "ReceivedTooOften", "AWSSecurityHubFindings", "2h"].map(str::to_owned);
        insta::assert_snapshot!(render(&columns, &[row.to_vec()], Some(40), false), @"
        ID            REASON            AGE
        0123456789ab  ReceivedTooOften   2h
          AWSSecurityHubFindings
        ");
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        for width in [40, 80, 160] {
            let plain = render(&COLUMNS, &rows(), Some(width), false);
            let coloured = render(&COLUMNS, &rows(), Some(width), true);
            assert!(coloured.contains(BOLD));
            let stripped = coloured.replace(BOLD, "").replace(DIM, "").replace(PLAIN, "");
            assert_eq!(stripped, plain);
        }
    }
}
