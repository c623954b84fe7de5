//! The operators and functions of LogQL and how each is written.
//!
//! Parts: tests of lines and labels ([`LineOp`], [`CmpOp`]), what makes samples of lines
//! ([`UnwrapConversion`], [`RangeOp`]), what combines series ([`VectorOp`], [`BinOp`], [`GroupSide`]).
//! Must not do: evaluate anything but two scalars, which the parser folds.

/// How a line is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineOp {
    /// `|=`
    Contains,
    /// `!=`
    NotContains,
    /// `|~`
    Match,
    /// `!~`
    NotMatch,
    /// `|>`
    Pattern,
    /// `!>`
    NotPattern,
}

/// Comparison of two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CmpOp {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
}

/// Which side of a many-to-one match has the many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupSide {
    /// `group_left`
    Left,
    /// `group_right`
    Right,
}

/// Makes an enum of words and its two mappings, `as_str` and `from_str`.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $(#[doc = concat!("`", $text, "`")] $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// As written in a query.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// From its word, which must be in lower case.
            pub(crate) fn of(word: &str) -> Option<Self> {
                match word { $($text => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

words!(
    /// How an unwrapped value is read: a size, a Go duration in seconds, the same again.
    UnwrapConversion {
        Bytes = "bytes",
        Duration = "duration",
        DurationSeconds = "duration_seconds",
    }
);
words!(
    /// What is computed over the lines of a window.
    RangeOp {
        Rate = "rate",
        RateCounter = "rate_counter",
        CountOverTime = "count_over_time",
        BytesRate = "bytes_rate",
        BytesOverTime = "bytes_over_time",
        AbsentOverTime = "absent_over_time",
        SumOverTime = "sum_over_time",
        AvgOverTime = "avg_over_time",
        MinOverTime = "min_over_time",
        MaxOverTime = "max_over_time",
        StdvarOverTime = "stdvar_over_time",
        StddevOverTime = "stddev_over_time",
        QuantileOverTime = "quantile_over_time",
        FirstOverTime = "first_over_time",
        LastOverTime = "last_over_time",
    }
);
words!(
    /// What is computed over the series of a step.
    VectorOp {
        Sum = "sum",
        Avg = "avg",
        Min = "min",
        Max = "max",
        Count = "count",
        Stddev = "stddev",
        Stdvar = "stdvar",
        Topk = "topk",
        Bottomk = "bottomk",
        ApproxTopk = "approx_topk",
        Sort = "sort",
        SortDesc = "sort_desc",
    }
);
words!(
    /// A binary operator.
    BinOp {
        Or = "or",
        And = "and",
        Unless = "unless",
        Equal = "==",
        NotEqual = "!=",
        Less = "<",
        LessOrEqual = "<=",
        Greater = ">",
        GreaterOrEqual = ">=",
        Add = "+",
        Sub = "-",
        Mul = "*",
        Div = "/",
        Mod = "%",
        Pow = "^",
    }
);

impl BinOp {
    /// How tightly it binds; the larger, the tighter.
    const fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            Self::Equal | Self::NotEqual | Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual => 3,
            Self::Add | Self::Sub => 4,
            Self::Mul | Self::Div | Self::Mod => 5,
            Self::Pow => 6,
        }
    }

    /// Whether `a self b next c` is `(a self b) next c`. Only `^` binds to the right.
    pub(crate) const fn ends_before(self, next: Self) -> bool {
        self.precedence() > next.precedence() || (self.precedence() == next.precedence() && !matches!(next, Self::Pow))
    }

    /// Whether it is `and`, `or` or `unless`.
    #[must_use]
    pub const fn is_set(self) -> bool {
        matches!(self, Self::Or | Self::And | Self::Unless)
    }

    /// The comparison it makes, if it is one.
    #[must_use]
    pub const fn comparison(self) -> Option<CmpOp> {
        match self {
            Self::Equal => Some(CmpOp::Equal),
            Self::NotEqual => Some(CmpOp::NotEqual),
            Self::Less => Some(CmpOp::Less),
            Self::LessOrEqual => Some(CmpOp::LessOrEqual),
            Self::Greater => Some(CmpOp::Greater),
            Self::GreaterOrEqual => Some(CmpOp::GreaterOrEqual),
            Self::Or | Self::And | Self::Unless | Self::Add | Self::Sub | Self::Mul | Self::Div | Self::Mod | Self::Pow => None,
        }
    }

    /// Two scalars into one, as Loki folds them: division and remainder by zero are NaN, a
    /// comparison is 0 or 1. NaN for set operators, which take no scalars.
    #[must_use]
    pub fn apply(self, left: f64, right: f64) -> f64 {
        match self {
            Self::Add => left + right,
            Self::Sub => left - right,
            Self::Mul => left * right,
            Self::Div if right == 0.0 => f64::NAN,
            Self::Div => left / right,
            Self::Mod if right == 0.0 => f64::NAN,
            Self::Mod => left % right,
            Self::Pow => left.powf(right),
            Self::Equal | Self::NotEqual | Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual => {
                f64::from(u8::from(self.comparison().is_some_and(|cmp| cmp.holds(left, right))))
            }
            Self::Or | Self::And | Self::Unless => f64::NAN,
        }
    }
}

impl CmpOp {
    /// As printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
        }
    }

    /// Whether `left op right`; with NaN only `!=` does.
    #[must_use]
    pub fn holds<T: PartialOrd + Copy>(self, left: T, right: T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
        }
    }
}

impl LineOp {
    /// As written in a query.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Contains => "|=",
            Self::NotContains => "!=",
            Self::Match => "|~",
            Self::NotMatch => "!~",
            Self::Pattern => "|>",
            Self::NotPattern => "!>",
        }
    }

    /// Whether the line must not meet the term.
    #[must_use]
    pub const fn is_negated(self) -> bool {
        matches!(self, Self::NotContains | Self::NotMatch | Self::NotPattern)
    }
}
