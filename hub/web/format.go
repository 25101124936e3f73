package web

import (
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// vietnamTime is the country's clock: UTC+7 all year.
func vietnamTime() *time.Location { return time.FixedZone("+07", 7*60*60) }

// moment is a point in time as a page shows it.
type moment struct {
	Text    string // dd/MM/yyyy HH:mm; without the time where only a date was given
	Machine string // RFC 3339
}

// momentOf returns the zero moment where there is none.
func momentOf(ts *timestamppb.Timestamp) moment {
	if ts == nil || ts.CheckValid() != nil {
		return moment{}
	}
	at := ts.AsTime().In(vietnamTime())
	layout := "02/01/2006 15:04"
	if wholeDay(at) {
		layout = "02/01/2006"
	}
	return moment{Text: at.Format(layout), Machine: at.Format(time.RFC3339)}
}

// wholeDay tells whether a time stands for a date: senders that know only the
// date write midnight.
func wholeDay(at time.Time) bool {
	hour, minute, second := at.In(vietnamTime()).Clock()
	return hour == 0 && minute == 0 && second == 0
}

// days returns how many calendar days lie between two moments in Viet Nam.
func days(from, to time.Time) int {
	midnight := func(t time.Time) time.Time {
		year, month, day := t.In(vietnamTime()).Date()
		return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	}
	return int(midnight(to).Sub(midnight(from)).Hours() / 24)
}

// Number returns a count with its thousands apart.
func (p *page) Number(n int32) string {
	digits := strconv.FormatInt(int64(n), 10)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	mark := p.T(".", ",")
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + mark + digits[at:]
	}
	return sign + digits
}

// Percent returns a percentage with the digits that came, rounded where there
// are more than two after the point; "–" where none came.
func (p *page) Percent(decimal string) string {
	if decimal == "" {
		return "–"
	}
	if _, fraction, _ := strings.Cut(decimal, "."); len(fraction) > 2 {
		if f, err := strconv.ParseFloat(decimal, 64); err == nil {
			decimal = strconv.FormatFloat(f, 'f', 2, 64)
		}
	}
	return strings.Replace(decimal, ".", p.T(",", "."), 1) + "%"
}

// percentOf returns part of total with one digit, empty where total is 0.
func percentOf(part, total int64) string {
	if total <= 0 {
		return ""
	}
	return strconv.FormatFloat(100*float64(part)/float64(total), 'f', 1, 64)
}

// part is one coloured stretch of a bar.
type part struct {
	Class string
	// X and Width are percentages of the bar, as SVG writes them.
	X, Width string
}

// bar is a stacked bar and what it says to who cannot see it.
type bar struct {
	Label string
	Parts []part
}

// barOf stacks percentages; what is not a number, or beyond the bar, is left out.
func barOf(label string, classes []string, percents []string) bar {
	b := bar{Label: label}
	at := 0.0
	for i, class := range classes {
		width, err := strconv.ParseFloat(percents[i], 64)
		if err != nil || !(width > 0) {
			continue
		}
		width = min(width, 100-at)
		b.Parts = append(b.Parts, part{Class: class, X: svgPercent(at), Width: svgPercent(width)})
		at += width
	}
	return b
}

func svgPercent(f float64) string { return strconv.FormatFloat(f, 'f', 2, 64) + "%" }
