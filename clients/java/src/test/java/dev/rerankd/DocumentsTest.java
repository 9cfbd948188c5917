package dev.rerankd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.google.protobuf.util.JsonFormat;
import dev.rerankd.v1.Document;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class DocumentsTest {
  record Article(String title, int pages) {}

  @Test
  void valuesOfAnyKindBecomeDocuments() throws Exception {
    List<Document> documents =
        Documents.of(
            "a text",
            Document.newBuilder().setId("as it is").build(),
            Map.of("id", "7", "text", "t", "prior_score", 0.5, "metadata", Map.of("year", 1965)),
            Map.of("title", "Dune", "content", "not the document's text"),
            Map.of("id", "8", "title", "Dune", "content", "the text"),
            new Article("Dune", 412));
    String[] expected = {
      "{'text': 'a text'}",
      "{'id': 'as it is'}",
      "{'id': '7', 'text': 't', 'priorScore': 0.5, 'metadata': {'year': 1965}}",
      "{'fields': {'title': 'Dune', 'content': \"not the document's text\"}}",
      "{'id': '8', 'text': 'the text', 'fields': {'id': '8', 'title': 'Dune', 'content': 'the text'}}",
      "{'fields': {'title': 'Dune', 'pages': 412}}",
    };
    for (int index = 0; index < expected.length; index++) {
      Document.Builder wanted = Document.newBuilder();
      JsonFormat.parser().merge(expected[index], wanted);
      assertEquals(wanted.build(), documents.get(index));
    }
    assertEquals(documents, Documents.of((Iterable<?>) documents));
  }

  @Test
  void otherValuesAreRefusedWithTheirPlace() {
    for (Object value :
        Arrays.asList(7, null, List.of("a"), Map.of("text", 7), Map.of("text", 7, "title", "a"))) {
      List<?> values = Arrays.asList("a", value);
      var failure = assertThrows(IllegalArgumentException.class, () -> Documents.of(values), "" + value);
      assertEquals("document 1", failure.getMessage().substring(0, 10));
    }
    assertEquals(List.of(), Documents.of(Collections.emptyList()));
  }
}
