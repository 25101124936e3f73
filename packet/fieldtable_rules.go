package packet

import (
	"fmt"
	"slices"
	"strconv"
)

// readerRule is a rule that reading enforces, and no .proto file.
type readerRule struct {
	id      string
	meaning text
	becomes text
}

func becomesEither() text {
	return text{
		"where it is understood, warning; refused in strict reading; else **refused**",
		"nếu hiểu được: cảnh báo; bị từ chối khi đọc chặt chẽ; nếu không: **từ chối**",
	}
}

func becomesRefused() text { return text{"**refused**", "**từ chối**"} }

func becomesWarning() text { return verdictWarning.text() }

func readerRules() []readerRule {
	return slices.Concat(documentRules(), nameRules(), valueRules(), boundRules())
}

// documentRules are about what a text is as a whole.
func documentRules() []readerRule {
	return []readerRule{
		{ruleUnknownPacket, text{"Neither root element nor members are those of a packet", "Phần tử gốc hoặc các thành phần không thuộc gói tin nào"}, becomesRefused()},
		{ruleRoot, text{"Another root element than that of the packet; in JSON, something else than an object", "Phần tử gốc không phải của gói tin; trong JSON, nội dung không phải đối tượng"}, becomesRefused()},
		{ruleSyntax, text{"Not well-formed XML, not JSON, not a Protobuf message", "XML không đúng cú pháp, không phải JSON, không phải thông điệp Protobuf"}, becomesRefused()},
		{ruleEncoding, text{"An encoding that is not read, or bytes that are not in the one declared", "Mã hóa không đọc được, hoặc byte không đúng mã hóa đã khai báo"}, becomesEither()},
		{ruleCharacter, text{"A character that XML 1.0 does not have", "Ký tự không có trong XML 1.0"}, becomesRefused()},
		{ruleDoctype, text{"A DOCTYPE", "Có DOCTYPE"}, becomesRefused()},
		{ruleInstruction, text{"A processing instruction", "Có chỉ thị xử lý"}, becomesRefused()},
		{ruleMixed, text{"Text between elements", "Có văn bản xen giữa các phần tử"}, becomesRefused()},
		{ruleAttribute, text{"An attribute", "Có thuộc tính"}, becomesWarning()},
		{ruleNamespace, text{"The declaration of a namespace", "Có khai báo không gian tên"}, becomesWarning()},
		{rulePrefix, text{"A name with a prefix", "Tên có tiền tố"}, becomesWarning()},
	}
}

// nameRules are about what elements and members there are.
func nameRules() []readerRule {
	return []readerRule{
		{ruleOrder, text{"An element out of order", "Phần tử sai thứ tự"}, becomesWarning()},
		{ruleAlias, text{"Another name of an element that is known", "Tên khác của phần tử, đã biết"}, becomesWarning()},
		{ruleCase, text{"A name in other letters, capital or small", "Tên sai chữ hoa, chữ thường"}, becomesWarning()},
		{ruleUnknown, text{"An element or member that the standard does not have", "Phần tử hoặc thành phần ngoài chuẩn"}, text{
			becomesWarning().en + "; in Protobuf **refused** where it has no name of its own",
			becomesWarning().vi + "; trong Protobuf bị **từ chối** nếu không có tên riêng",
		}},
		{ruleDuplicate, text{"A member of a JSON object that comes twice", "Thành phần xuất hiện hai lần trong một đối tượng JSON"}, becomesRefused()},
		{ruleWrapper, text{"A JSON object by the name of the root around the members", "Các thành phần JSON bọc trong đối tượng mang tên phần tử gốc"}, becomesWarning()},
		{ruleSingle, text{"A single value where JSON has an array", "Giá trị đơn ở chỗ phải là mảng JSON"}, becomesWarning()},
		{ruleRepeated, text{"An element twice that does not repeat", "Phần tử không được lặp mà xuất hiện hai lần"}, becomesRefused()},
		{ruleRequired, text{"A required element or value is missing", "Thiếu phần tử hoặc giá trị bắt buộc"}, becomesRefused()},
		{ruleProtobuf, text{"Fields of a Protobuf message that this version does not know", "Trường Protobuf mà phiên bản này không biết"}, becomesWarning()},
	}
}

// valueRules are about what an element holds.
func valueRules() []readerRule {
	return []readerRule{
		{ruleType, text{"Elements, an object, an array or another kind of value than the field's", "Phần tử, đối tượng, mảng hoặc giá trị không đúng kiểu của trường"}, becomesEither()},
		{ruleAbsent, text{"An empty element, a null or an unset date, read as no value", "Phần tử rỗng, null hoặc ngày chưa gán, được hiểu là không có giá trị"}, text{
			becomesWarning().en + "; not refused where a percentage that is not there is an empty element, in JSON null",
			becomesWarning().vi + "; không bị từ chối nếu tỷ lệ không có giá trị được viết là phần tử rỗng, trong JSON là null",
		}},
		{ruleSpace, text{"White space around a value", "Khoảng trắng quanh giá trị"}, becomesWarning()},
		{ruleBlank, text{"A text that must not be empty and is white space only", "Văn bản không được rỗng mà chỉ có khoảng trắng"}, becomesWarning()},
		{ruleInteger, text{"A whole number that is spelt otherwise, or none", "Số nguyên viết khác chuẩn, hoặc không phải số nguyên"}, becomesEither()},
		{ruleRange, text{"A whole number of more than 32 bits", "Số nguyên vượt quá 32 bit"}, becomesRefused()},
		{ruleBoolean, text{"true or false that is spelt otherwise, or neither", "Giá trị đúng sai viết khác chuẩn, hoặc không phải giá trị đúng sai"}, becomesEither()},
		{ruleDecimal, text{"A decimal number that is spelt otherwise, or none", "Số thập phân viết khác chuẩn, hoặc không phải số"}, becomesEither()},
		{ruleDatetime, text{"A date that is spelt otherwise, or none", "Ngày giờ viết khác chuẩn, hoặc không phải ngày giờ"}, becomesEither()},
		{ruleOrganisation, text{"An organisation code that is spelt otherwise, or none", "Mã cơ quan viết khác chuẩn, hoặc không phải mã cơ quan"}, becomesEither()},
		{ruleBase64, text{"Not Base64", "Không phải Base64"}, becomesRefused()},
		{"string.min_len", text{"A text that is too short", "Văn bản quá ngắn"}, becomesRefused()},
		{"string.max_len", text{"A text that is too long", "Văn bản quá dài"}, becomesRefused()},
		{"string.pattern", text{"A text of another form", "Văn bản không đúng dạng"}, becomesRefused()},
		{"int32.gte", text{"A number below the least", "Số nhỏ hơn mức tối thiểu"}, becomesRefused()},
		{"int32.gte_lte", text{"A number out of its bounds", "Số ngoài khoảng cho phép"}, becomesRefused()},
	}
}

// boundRules are about how much there is.
func boundRules() []readerRule {
	return []readerRule{
		{ruleName, text{fmt.Sprintf("A name of more than %d bytes", maxNameBytes), fmt.Sprintf("Tên dài quá %d byte", maxNameBytes)}, becomesRefused()},
		{ruleDepth, text{fmt.Sprintf("Elements nested more than %d deep", maxDepth), fmt.Sprintf("Các phần tử lồng nhau quá %d mức", maxDepth)}, becomesRefused()},
		{ruleElements, text{fmt.Sprintf("More than %d elements", maxElements), fmt.Sprintf("Có quá %d phần tử", maxElements)}, becomesRefused()},
		{ruleAttributes, text{fmt.Sprintf("An element with more than %d attributes", maxAttributes), fmt.Sprintf("Một phần tử có quá %d thuộc tính", maxAttributes)}, becomesRefused()},
		{ruleText, text{"A text that is longer than the reader takes", "Văn bản dài hơn mức bên đọc chấp nhận"}, becomesRefused()},
		{ruleCopied, text{"In a large packet: more text with references or escapes, or in UTF-16 or Protobuf, than the reader takes", "Trong gói tin lớn: nội dung có tham chiếu hoặc ký tự thoát, hoặc ở dạng UTF-16 hay Protobuf, nhiều hơn mức bên đọc chấp nhận"}, becomesRefused()},
		{ruleSize, text{"A packet that is larger than the reader takes", "Gói tin lớn hơn mức bên đọc chấp nhận"}, becomesRefused()},
		{ruleAttachment, text{"An attachment that is larger than allowed", "Tệp đính kèm lớn hơn mức cho phép"}, becomesRefused()},
		{ruleFindings, text{
			fmt.Sprintf("More is wrong than is shown: at most %d violations and %d warnings are, and of either at most %d KiB; the rest is counted", maxFindings, maxFindings, maxFindingBytes>>10),
			fmt.Sprintf("Có nhiều lỗi hơn số được nêu: tối đa %d lỗi và %d cảnh báo, mỗi loại tối đa %d KiB; phần còn lại chỉ được đếm", maxFindings, maxFindings, maxFindingBytes>>10),
		}, verdictHint.text()},
	}
}

// readerRules writes the rules that stand in no table of a message.
func (p *page) readerRules() {
	p.head(headRules())
	p.say(text{
		"Every finding names its rule. Those of the packets stand in their tables; these are the others. The names do not change from version to version.",
		"Mỗi thông báo nêu tên quy tắc. Quy tắc của từng gói tin nằm trong bảng của gói tin đó; dưới đây là các quy tắc còn lại. Tên quy tắc không đổi giữa các phiên bản.",
	})
	var rows [][]string
	for _, r := range readerRules() {
		rows = append(rows, []string{code(r.id), cell(p.in(r.meaning)), p.in(r.becomes)})
	}
	p.table([]text{{"Rule", "Quy tắc"}, {"What is wrong", "Sai ở đâu"}, {"Otherwise", "Nếu vi phạm"}}, rows)
}

// limits writes what is refused for its size before anything is made of it.
func (p *page) limits() {
	const mebi = 1 << 20
	p.head(headLimits())
	attachment := 0
	for _, m := range p.all {
		for _, f := range m.fields {
			attachment = max(attachment, int(f.MaxBytes))
		}
	}
	size := func(bytes int) string { return strconv.Itoa(bytes/mebi) + " MiB" }
	p.table([]text{{"Bound", "Giới hạn"}, {"Most", "Tối đa"}, {"Set by", "Nơi quy định"}, {"Rule", "Quy tắc"}}, [][]string{
		{p.in(text{"One attachment, decoded", "Một tệp đính kèm, sau khi giải mã"}), size(attachment), p.in(text{"the format", "định dạng"}), code(ruleAttachment)},
		{p.in(text{"Text of one element, Base64 included", "Văn bản của một phần tử, kể cả Base64"}), size(defaultTextBytes), p.in(text{"the reader's default", "mặc định của bên đọc"}), code(ruleText)},
		{p.in(text{"A packet", "Một gói tin"}), size(defaultContentBytes), p.in(text{"the reader's default", "mặc định của bên đọc"}), code(ruleSize)},
		{p.in(text{"Depth of elements in one another", "Số mức lồng nhau của phần tử"}), strconv.Itoa(maxDepth), p.in(text{"the reader", "bên đọc"}), code(ruleDepth)},
		{p.in(text{"Elements of a packet", "Số phần tử của gói tin"}), strconv.Itoa(maxElements), p.in(text{"the reader", "bên đọc"}), code(ruleElements)},
		{p.in(text{"Attributes of an element", "Số thuộc tính của phần tử"}), strconv.Itoa(maxAttributes), p.in(text{"the reader", "bên đọc"}), code(ruleAttributes)},
		{p.in(text{"Name of an element, member or attribute", "Tên của phần tử, thành phần hoặc thuộc tính"}), strconv.Itoa(maxNameBytes) + p.in(text{" bytes", " byte"}), p.in(text{"the reader", "bên đọc"}), code(ruleName)},
	})
	p.say(text{
		"The reader is the library: by default it takes " + size(defaultTextBytes/4*3) + " of an attachment, and the format's bound is reached only by who sets its limits higher. A hub has limits of its own: by default it accepts packets of up to 16 MiB, so some 12 MiB of attachments, and its operator may set another size (`content_bytes` in its file, up to 1 GiB); `lienthong packet` takes as much as a hub does by default, or `--content-bytes`.",
		"Bên đọc là thư viện: theo mặc định nhận tệp đính kèm đến " + size(defaultTextBytes/4*3) + "; chỉ đạt đến giới hạn của định dạng khi đặt các giới hạn của bên đọc cao hơn. Trục có giới hạn riêng: theo mặc định tiếp nhận gói tin đến 16 MiB, tức khoảng 12 MiB tệp đính kèm; đơn vị vận hành có thể đặt mức khác (`content_bytes` trong tệp cấu hình, đến 1 GiB); `lienthong packet` theo mặc định nhận gói tin lớn như trục, hoặc theo `--content-bytes`.",
	})
}
