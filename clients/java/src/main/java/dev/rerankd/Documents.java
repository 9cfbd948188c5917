package dev.rerankd;

import com.google.gson.Gson;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Struct;
import com.google.protobuf.util.JsonFormat;
import dev.rerankd.v1.Document;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;

/** Makes documents of strings and objects. */
public final class Documents {
  private static final Gson GSON = new Gson();
  private static final Set<String> OWN =
      Document.getDescriptor().getFields().stream().map(field -> field.getName()).collect(Collectors.toSet());

  private Documents() {}

  /**
   * Returns documents of values of any kind.
   *
   * <p>A string is a text, and a {@link Document} stays what it is. Anything else becomes JSON by Gson, which must be an
   * object: a map, a record, an object with fields. An object whose keys are all those of {@link Document} (text, id,
   * fields, prior_score, metadata, image) is one; any other is structured content, scored whole or by the request's
   * {@code rank_fields}, and a text and an id among its members are the document's, too.
   *
   * @param values the documents
   * @return as many documents, in the same order
   * @throws IllegalArgumentException a value is none of these
   */
  public static List<Document> of(Object... values) {
    return of(Arrays.asList(values));
  }

  /**
   * Returns documents of values of any kind; see {@link #of(Object...)}.
   *
   * @param values the documents
   * @return as many documents, in the same order
   * @throws IllegalArgumentException a value is none of these
   */
  public static List<Document> of(Iterable<?> values) {
    List<Document> documents = new ArrayList<>();
    for (Object value : values) {
      try {
        documents.add(documentOf(value));
      } catch (RuntimeException | InvalidProtocolBufferException cause) {
        throw new IllegalArgumentException("document " + documents.size() + ": " + cause.getMessage(), cause);
      }
    }
    return documents;
  }

  private static Document documentOf(Object value) throws InvalidProtocolBufferException {
    if (value instanceof String text) {
      return Document.newBuilder().setText(text).build();
    }
    if (value instanceof Document document) {
      return document;
    }
    JsonElement written = GSON.toJsonTree(value);
    if (!written.isJsonObject()) {
      throw new IllegalArgumentException("a document is a string, a Document or an object, not " + written);
    }
    JsonObject members = written.getAsJsonObject();
    Document.Builder document = Document.newBuilder();
    if (OWN.containsAll(members.keySet())) {
      checkText(members, "text");
      JsonFormat.parser().merge(members.toString(), document);
      return document.build();
    }
    Struct.Builder fields = Struct.newBuilder();
    JsonFormat.parser().merge(members.toString(), fields);
    document.setFields(fields);
    if (members.keySet().stream().anyMatch(OWN::contains)) {
      String name = members.has("text") ? "text" : "content";
      checkText(members, "text");
      document.setText(stringOf(members.get(name))).setId(stringOf(members.get("id")));
    }
    return document.build();
  }

  private static void checkText(JsonObject members, String name) {
    if (members.has(name) && !isString(members.get(name))) {
      throw new IllegalArgumentException(name + " must be a string, not " + members.get(name));
    }
  }

  private static boolean isString(JsonElement element) {
    return element != null && element.isJsonPrimitive() && element.getAsJsonPrimitive().isString();
  }

  private static String stringOf(JsonElement element) {
    return isString(element) ? element.getAsString() : "";
  }
}
