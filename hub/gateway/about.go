package gateway

import (
	"net/http"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// aboutSubmit says of the address that takes packets of a type.
func aboutSubmit(typ packetv1.PacketType) about {
	said := map[packetv1.PacketType]about{
		packetv1.PacketType_PACKET_TYPE_DOSSIER:   {vi: "Đồng bộ hồ sơ", en: "Synchronises a dossier", takes: "MSyncDocument"},
		packetv1.PacketType_PACKET_TYPE_PROGRESS:  {vi: "Cập nhật tiến độ xử lý hồ sơ", en: "Reports progress of a dossier", takes: "MDocumentTraces"},
		packetv1.PacketType_PACKET_TYPE_STATISTIC: {vi: "Gửi số liệu thống kê", en: "Sends statistics", takes: "MStatistic"},
		packetv1.PacketType_PACKET_TYPE_SURVEY:    {vi: "Gửi kết quả khảo sát hài lòng", en: "Sends results of a survey", takes: "MVotes"},
	}[typ]
	said.more = bilingual("Không có To thì gói tin đến mọi hệ thống có quyền nhận. Trả về số thứ tự tiếp nhận, và mỗi chỗ khác chuẩn là một cảnh báo; khi đọc chặt chẽ, gói tin có chỗ khác chuẩn bị từ chối. Gửi lại cùng nội dung không tạo gói tin thứ hai.",
		"Without To the packet goes to every node that may receive it. The answer has its sequence, and a warning for each liberty; in strict reading a packet with a liberty is refused. The same content again makes no second packet.")
	said.gives = documentResult
	said.headers = []string{"Location", "X-LienThong-Sequence", "X-LienThong-Envelope-Id"}
	said.refuses = []int{http.StatusConflict}
	for _, name := range []string{"IdempotencyKey", "To", "OnBehalfOf", "QueryTo", "QueryOnBehalfOf"} {
		said.parameters = append(said.parameters, parameter{Ref: refParameters + name})
	}
	return said
}

func aboutPull() about {
	query := func(name, vi, en string, schema map[string]any) parameter {
		return parameter{Name: name, In: "query", Description: bilingual(vi, en), Schema: schema}
	}
	return about{
		vi: "Lấy các gói tin gửi đến hệ thống đang gọi", en: "Takes what is addressed to the caller",
		more: bilingual("Gói tin chưa xác nhận trước LeaseUntil sẽ được gửi lại, với cùng DeliveryId. Gói tin có chỗ không ghi được tại đây thì có Problem thay cho nội dung.",
			"What is not acknowledged before LeaseUntil is delivered again, by the same DeliveryId. A packet that cannot be written here has a Problem in its stead."),
		gives: "MDeliveries",
		parameters: []parameter{
			query("max", "Số gói tin tối đa; mặc định 32", "At most this many; 32 by default", number(1, maxDeliveries)),
			query("wait", "Số giây chờ gói tin đầu tiên", "Seconds to wait for the first", number(0, maxWaitSeconds)),
		},
	}
}

func aboutReject() about {
	return about{
		vi: "Báo không xử lý được gói tin đã lấy", en: "Says that deliveries cannot be handled",
		more: bilingual("Gói tin được gửi lại sau một khoảng thời gian, mỗi lần dài gấp đôi; sau số lần mà trục cho phép, hoặc ngay lập tức nếu Final, gói tin vào danh sách không giao được. Mã nào không nằm trong tay bên gọi thì được nêu trong Message, và không phải là lỗi.",
			"Each is delivered again after a delay that doubles each time; after as many attempts as the hub allows, or at once where Final, it becomes a dead letter. An id that was not out with the caller is named in the Message, and is no error."),
		takes: "MReject", gives: documentResult,
	}
}

func aboutAcknowledge() about {
	return about{
		vi: "Xác nhận đã nhận", en: "Acknowledges deliveries",
		more: bilingual("Mã nào không còn chờ nhận thì được nêu trong Message, và không phải là lỗi.",
			"An id that was not waiting is named in the Message, and is no error."),
		takes: "MAcknowledge", gives: documentResult,
	}
}

func aboutContent() about {
	bytes := media{Schema: map[string]any{}}
	return about{
		vi: "Chính văn bản của gói tin: XML hoặc JSON chính thức theo Accept, nếu không thì nguyên văn của bên gửi", en: "The packet itself: official XML or JSON as Accept names one, else the sender's own bytes",
		more: bilingual("Cho bên gửi và các bên nhận của gói tin. Nguyên văn là đúng từng byte bên gửi đã gửi, cả khi là Protobuf; có thể được viết khác chuẩn, như khi tiếp nhận kèm cảnh báo. Muốn luôn đúng chuẩn thì nêu application/xml hoặc application/json trong Accept.",
			"For the sender and the recipients of the packet. The sender's own bytes are as they were sent, also where they are Protobuf; they may be loosely spelt, as what was accepted with warnings is. Who names application/xml or application/json in Accept always gets the official spelling."),
		parameters: []parameter{{Ref: refParameters + "Sequence"}},
		content:    map[string]media{typeXML: asSent(nil), typeTextXML: document(), typeJSON: asSent("object"), typeProtobuf: bytes},
		headers:    []string{"X-LienThong-Sequence", "X-LienThong-Envelope-Id"},
		refuses:    []int{http.StatusNotFound, http.StatusGone},
	}
}

// asSent describes a packet as a document or in its sender's own spelling, of a type
// of JSON where that is not nil.
func asSent(jsonType any) media {
	described := document()
	loose := map[string]any{"description": bilingual("Nguyên văn của bên gửi, có thể được viết khác chuẩn", "The sender's own bytes, which may be loosely spelt")}
	if jsonType != nil {
		loose["type"] = jsonType
	}
	kinds, _ := described.Schema["anyOf"].([]any)
	described.Schema["anyOf"] = append(kinds, loose)
	return described
}

func aboutHealth() about {
	return about{
		vi: "Trả lời khi đang hoạt động", en: "Answers while the edge serves",
		more:    bilingual("Cho bộ cân bằng tải và giám sát.", "For load balancers and monitoring."),
		content: map[string]media{"text/plain": {Schema: text("")}},
	}
}

func aboutXSD() about {
	one := func(name, vi, en string, words []string) parameter {
		return parameter{Name: name, In: "query", Description: bilingual(vi, en), Schema: map[string]any{"type": "string", "enum": words}}
	}
	return about{
		vi: "Lược đồ XML của các gói tin", en: "The XML schema of the packets",
		more: bilingual("Sinh ra từ chính các quy tắc mà trục áp dụng. Không nêu type thì gồm cả MResult, MDeliveries, MAcknowledge và MReject.",
			"Made from the rules that the hub itself applies. Without type it has MResult, MDeliveries, MAcknowledge and MReject, too."),
		parameters: []parameter{
			one("mode", "strict: đúng như được ghi ra; structure: chỉ tên, thứ tự và số lần", "strict: as they are written; structure: names, order and cardinality alone", modeWords()),
			one("type", "Loại gói tin; không có thì tất cả", "Packet; all without it", typeWords()),
		},
		content: map[string]media{typeXML: {Schema: text("")}},
		headers: []string{"ETag"}, refuses: []int{http.StatusBadRequest, http.StatusServiceUnavailable},
	}
}

func aboutOpenAPI() about {
	return about{
		vi: "Tài liệu này", en: "This document",
		more:    bilingual("OpenAPI 3.1, để sinh mã cho hệ thống gọi đến.", "OpenAPI 3.1, to generate clients from."),
		content: map[string]media{typeJSON: {Schema: map[string]any{"type": "object"}}},
		headers: []string{"ETag"}, refuses: []int{http.StatusServiceUnavailable},
	}
}
