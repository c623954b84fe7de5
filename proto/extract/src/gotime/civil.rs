//! Dates and seconds: the proleptic Gregorian calendar in integers.
//!
//! Parts: [`days`] (date to day number), [`Civil`] (day number to date), [`days_in_month`]. Limits: years
//! of four digits and a little more; nothing here can overflow for them. Must not do: know time zones.

/// Days from 1970-01-01 to the given date. `month` is 1 to 12; `day` may lie outside its month.
pub(crate) const fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day is the last one; eras are 400 years, 146,097 days.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// A date with its place in week and year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    /// 1 to 12.
    pub(crate) month: i64,
    /// 1 to 31.
    pub(crate) day: i64,
    /// 0 for Sunday.
    pub(crate) weekday: usize,
    /// 1 to 366.
    pub(crate) day_of_year: i64,
}

impl Civil {
    /// The date `days` after 1970-01-01.
    pub(crate) const fn of_days(days_since: i64) -> Self {
        let shifted = days_since + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let from_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * from_march + 2) / 153;
        let day = from_march - (153 * month_from_march + 2) / 5 + 1;
        let month = (month_from_march + 2) % 12 + 1;
        let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
        let weekday = (days_since + 4).rem_euclid(7).unsigned_abs() as usize;
        Self { year, month, day, weekday, day_of_year: days_since - days(year, 1, 1) + 1 }
    }
}

/// Whether `year` has 366 days.
pub(crate) const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days of `month`, 1 to 12, in `year`.
pub(crate) const fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}
