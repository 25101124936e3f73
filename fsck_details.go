package main

import "regexp"

// details says in Vietnamese what of a finding is beyond its rule.
type details []detail

type detail struct {
	en *regexp.Regexp
	vi string
}

// of returns a text in Vietnamese. One that is not known, such as the operating
// system's, is marked as a technical detail.
func (d details) of(what string) string {
	if what == "" {
		return ""
	}
	for _, known := range d {
		if known.en.MatchString(what) {
			return known.en.ReplaceAllString(what, known.vi)
		}
	}
	return "chi tiết kỹ thuật: " + what
}

func newDetails() details {
	var known details
	for _, pair := range [][2]string{
		{`packet (\d+) is not there`, "thiếu gói tin $1"},
		{`packets (\d+) to (\d+) are not there`, "thiếu các gói tin từ $1 đến $2"},
		{`packet (\d+) follows packet (\d+)`, "gói tin $1 đứng sau gói tin $2"},
		{`id (".*") of (\S+) is that of packet (\d+), too`, "mã $1 của $2 cũng là của gói tin $3"},
		{`the delivery to (\S+) was acknowledged, but was not in the inbox`, "lượt giao đến $1 đã được xác nhận nhưng không có trong hộp thư"},
		{`the delivery to (\S+) came back or was discarded, but was no dead letter`, "lượt giao đến $1 đã trở lại hoặc bị bỏ nhưng không nằm trong danh sách không giao được"},
		{`the journal ends at (\d+), the index has what came before (\d+)`, "nhật ký kết thúc ở $1, chỉ mục có đến trước $2"},
		{`the index with the journal, of which parts are missing`, "chỉ mục với nhật ký, vì nhật ký thiếu một số phần"},
		{`the last checkpoint is of (\d+) packets, the accepted log ends after (\d+)`, "điểm kiểm tra cuối có $1 gói tin, nhật ký kết thúc sau gói tin $2"},
		{`the ledger after packet (\d+), as packets are missing`, "sổ cái sau gói tin $1, vì thiếu gói tin"},
		{`.*the root over the first (\d+) packets is another one`, "giá trị gốc của $1 gói tin đầu đã khác"},
		{`.*that is of (\d+) packets, the accepted log ends after (\d+)`, "điểm kiểm tra có $1 gói tin, nhật ký kết thúc sau gói tin $2"},
		{`.*hash (\d+) of level (\d+) is another one`, "giá trị băm $1 ở tầng $2 đã khác"},
		{`the ledger key is not whole: (\S+) is missing`, "thiếu tệp $1"},
		{`the ledger key is not whole: (\S+) is of another key than (\S+)`, "$1 là của khoá khác với $2"},
		{`its content is missing`, "thiếu nội dung"},
		{`not all of it is there`, "thiếu một số tệp"},
		{`.*block (\d+) of a blob has changed on the disk`, "khối $1 của nội dung đã thay đổi trên đĩa"},
		{`.*its file has (\d+) bytes, not (\d+)`, "tệp có $1 byte, không phải $2"},
		{`.*its SHA-256 is (\w+), not (\w+)`, "SHA-256 là $1, không phải $2"},
		{`the record`, "bản ghi"},
		{`the leaves or the note of the group`, "các lá hoặc chữ ký của nhóm"},
		{`the group's note is signed, but is of other leaves`, "chữ ký đúng nhưng của các lá khác"},
		{`the group's note: .*`, "không xác minh được chữ ký của nhóm"},
		{`the content is not what its SHA-256 in the (record|statement) says`, "nội dung không khớp SHA-256 đã ghi"},
		{`an unfinished file`, "tệp chưa ghi xong"},
		{`(\d+) bytes that were being written when the hub ended`, "$1 byte đang ghi khi trục dừng"},
	} {
		known = append(known, detail{regexp.MustCompile("^(?s:" + pair[0] + ")$"), pair[1]})
	}
	return known
}
