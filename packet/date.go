package packet

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// guideNullDate is how the guide writes a date that is not there.
const guideNullDate = "0000-00-00T00:00:00.000+0700"

// offsetHere is Vietnam's distance from UTC. It has had no other, and no summer
// time, since the guide was written.
const offsetHere = 7 * 60 * 60

// here is the zone of times that name none.
func here() *time.Location { return time.FixedZone("", offsetHere) }

// dateDefect is why a text is no date.
type dateDefect int

const (
	dateGood dateDefect = iota
	dateOfNoForm
	dateThatIsNone // of a form that is read, but there is no such day or time
)

// parseDate reads a date in any form that senders use, to the millisecond. exact
// is false for every form but xsd:dateTime with an offset.
func parseDate(s string) (t time.Time, exact bool, wrong dateDefect) {
	d := digits{s: s, ok: true}
	var c clock
	switch {
	case len(s) >= 19 && s[4] == '-' && (s[10] == 'T' || s[10] == ' '):
		exact = d.datetime(&c)
	case len(s) == 10 && s[4] == '-':
		c.year, c.month, c.day = d.number(4), d.after('-', 2), d.after('-', 2)
	case len(s) == 14:
		c.year, c.month, c.day = d.number(4), d.number(2), d.number(2)
		c.hour, c.minute, c.second = d.number(2), d.number(2), d.number(2)
	case len(s) == 10, len(s) == 16 && s[10] == ' ', len(s) == 19 && s[10] == ' ':
		c.day, c.month, c.year = d.number(2), d.after('/', 2), d.after('/', 4)
		if len(s) >= 16 {
			c.hour, c.minute = d.after(' ', 2), d.after(':', 2)
		}
		if len(s) == 19 {
			c.second = d.after(':', 2)
		}
	default:
		return time.Time{}, false, dateOfNoForm
	}
	switch {
	case !d.ok || d.s != "":
		return time.Time{}, false, dateOfNoForm
	case !c.valid():
		return time.Time{}, false, dateThatIsNone
	case c.zone == nil:
		c.zone = here()
	}
	return time.Date(c.year, time.Month(c.month), c.day, c.hour, c.minute, c.second, c.nanos, c.zone), exact, dateGood
}

// standardDate reads a date as it is written here, to the millisecond and in
// Vietnam's time, which most are; false for any other.
func standardDate(s string) (seconds int64, nanos int32, ok bool) {
	if len(s) != len("2018-10-23T09:15:00.000+07:00") || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' ||
		s[19] != '.' || s[23:] != "+07:00" || !isDigits(s[:4]) || !isDigits(s[20:23]) {
		return 0, 0, false
	}
	c := clock{
		year: twoDigits(s, 0)*100 + twoDigits(s, 2), month: twoDigits(s, 5), day: twoDigits(s, 8),
		hour: twoDigits(s, 11), minute: twoDigits(s, 14), second: twoDigits(s, 17),
	}
	// The first and last years hold times that are no dates, or cannot be written.
	if c.year < 2 || c.year > 9998 || c.day < 0 || c.hour < 0 || c.minute < 0 || c.second < 0 || c.hour > 23 || !c.valid() {
		return 0, 0, false
	}
	millis := (int32(s[20]-'0')*10+int32(s[21]-'0'))*10 + int32(s[22]-'0')
	at := time.Date(c.year, time.Month(c.month), c.day, c.hour, c.minute, c.second, 0, time.UTC)
	return at.Unix() - offsetHere, millis * int32(time.Millisecond), true
}

// twoDigits returns the number that stands at an offset; a negative one where none
// does.
func twoDigits(s string, at int) int {
	tens, ones := int(s[at])-'0', int(s[at+1])-'0'
	if tens < 0 || tens > 9 || ones < 0 || ones > 9 {
		return -1 << 20
	}
	return tens*10 + ones
}

// clock is a date and time as written.
type clock struct {
	year, month, day, hour, minute, second, nanos int
	zone                                          *time.Location // nil: not said
}

// valid reports whether there is such a day and time. 24:00:00 is the midnight
// that ends the day.
func (c *clock) valid() bool {
	if c.hour == 24 && (c.minute != 0 || c.second != 0 || c.nanos != 0) {
		return false
	}
	return c.year >= 1 && c.month >= 1 && c.month <= 12 && c.day >= 1 && c.day <= daysIn(c.year, c.month) &&
		c.hour <= 24 && c.minute <= 59 && c.second <= 59
}

func daysIn(year, month int) int {
	if month != 2 {
		return 30 + (month+month>>3)&1
	}
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// digits takes numbers off the front of a text.
type digits struct {
	s  string
	ok bool
}

// number takes exactly n digits.
func (d *digits) number(n int) int {
	if len(d.s) < n || !isDigits(d.s[:n]) {
		d.ok = false
		return 0
	}
	value := 0
	for i := range n {
		value = value*10 + int(d.s[i]-'0')
	}
	d.s = d.s[n:]
	return value
}

// after takes a character and exactly n digits.
func (d *digits) after(c byte, n int) int {
	if d.s == "" || d.s[0] != c {
		d.ok = false
		return 0
	}
	d.s = d.s[1:]
	return d.number(n)
}

// datetime takes yyyy-MM-ddTHH:mm:ss, with a space for the T as databases write it,
// an optional fraction and an optional offset. It reports whether nothing had to be
// assumed.
func (d *digits) datetime(c *clock) (exact bool) {
	c.year, c.month, c.day = d.number(4), d.after('-', 2), d.after('-', 2)
	separator := byte('T')
	if strings.HasPrefix(d.s, " ") {
		separator = ' '
	}
	c.hour, c.minute, c.second = d.after(separator, 2), d.after(':', 2), d.after(':', 2)
	exact = d.fraction(c) && separator == 'T'
	switch {
	case d.s == "":
		return false
	case d.s == "Z":
		c.zone, d.s = time.UTC, ""
		return exact
	case d.s[0] != '+' && d.s[0] != '-':
		d.ok = false
		return false
	}
	sign := 1
	if d.s[0] == '-' {
		sign = -1
	}
	d.s = d.s[1:]
	hours, minutes := d.number(2), 0
	if strings.HasPrefix(d.s, ":") {
		minutes = d.after(':', 2)
	} else {
		minutes, exact = d.number(2), false
	}
	if hours > 14 || minutes > 59 || hours == 14 && minutes > 0 {
		d.ok = false
	}
	c.zone = time.FixedZone("", sign*(hours*60+minutes)*60)
	return exact
}

// fraction takes a fraction of a second, and reports whether all of it fits
// milliseconds.
func (d *digits) fraction(c *clock) (exact bool) {
	if !strings.HasPrefix(d.s, ".") {
		return true
	}
	n := 1
	for n < len(d.s) && d.s[n] >= '0' && d.s[n] <= '9' {
		n++
	}
	all := d.s[1:n]
	if d.s = d.s[n:]; all == "" {
		d.ok = false
		return false
	}
	millis := all
	if len(millis) > 3 {
		millis = millis[:3]
	}
	scale := [...]int{0, 100, 10, 1}
	ms := digits{s: millis, ok: true}
	c.nanos = ms.number(len(millis)) * scale[len(millis)] * int(time.Millisecond)
	return strings.Trim(all[len(millis):], "0") == ""
}

// isNullDate reports whether s is a date of nothing but zeros, in any form.
func isNullDate(s string) bool {
	if len(s) < 8 || s[0] != '0' || len(s) > 40 {
		return false
	}
	if at := strings.IndexAny(s, "T "); at >= 0 {
		if zone := strings.IndexAny(s[at:], "+-Z"); zone >= 0 {
			s = s[:at+zone]
		}
	}
	zeros := 0
	for i := range len(s) {
		switch s[i] {
		case '0':
			zeros++
		case '-', '/', ':', '.', 'T', ' ':
		default:
			return false
		}
	}
	return zeros >= 8
}

// isUnset reports whether t is the time of a program that has set none: the first
// midnight there is, by its own zone or by UTC.
func isUnset(t time.Time) bool {
	if t.IsZero() {
		return true
	}
	hour, minute, second := t.Clock()
	return t.Year() == 1 && t.YearDay() == 1 && hour+minute+second+t.Nanosecond() == 0
}

// writable reports whether a time can be written with a year of four digits,
// here and in UTC.
func writable(t time.Time) bool { return isWritableSecond(t.Unix()) }

// isWritable reports whether a time is one, and can be written.
func isWritable(stamp *timestamppb.Timestamp) bool {
	return isWritableSecond(stamp.GetSeconds()) && stamp.GetNanos() >= 0 && stamp.GetNanos() < int32(time.Second)
}

func isWritableSecond(seconds int64) bool {
	const (
		first = -62135596800              // 0001-01-01T00:00:00Z
		last  = 253402300799 - offsetHere // 9999-12-31T23:59:59+07:00
	)
	return seconds >= first && seconds <= last
}

// appendDate writes xsd:dateTime with milliseconds, in Vietnam's time. The time
// has to be writable.
func appendDate(b []byte, stamp *timestamppb.Timestamp) []byte {
	t := time.Unix(stamp.GetSeconds()+offsetHere, 0).UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	const model = "2018-10-23T09:15:00.000+07:00"
	b = append(b, model...)
	date := b[len(b)-len(model):]
	putTwo(date[0:], year/100)
	putTwo(date[2:], year%100)
	putTwo(date[5:], int(month))
	putTwo(date[8:], day)
	putTwo(date[11:], hour)
	putTwo(date[14:], minute)
	putTwo(date[17:], second)
	millis := int(stamp.GetNanos()) / int(time.Millisecond)
	date[20] = byte('0' + millis/100)
	putTwo(date[21:], millis%100)
	return b
}

// putTwo writes a number under 100 with two digits.
func putTwo(b []byte, n int) {
	_ = b[1]
	b[0], b[1] = byte('0'+n/10), byte('0'+n%10)
}
