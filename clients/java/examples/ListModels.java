import dev.rerankd.RerankClient;
import dev.rerankd.v1.Model;
import java.util.Locale;

/** Lists the embedded models, then looks at one of them. */
public final class ListModels {
  /** Runs the example. */
  public static void main(String[] arguments) {
    try (RerankClient client = RerankClient.create()) {
      for (Model model : client.listModels("local").join()) {
        System.out.println(model.getName() + " " + word(model.getScoring(), "SCORING_"));
      }
      Model model = client.getModel("local/bm25").join();
      System.out.printf("scores of %s are %s%n", model.getName(), word(model.getScoreSpace(), "SCORE_SPACE_"));
    }
  }

  /** Returns the name of an enum's value as JSON writes it. */
  private static String word(Enum<?> value, String prefix) {
    return value.name().substring(prefix.length()).toLowerCase(Locale.ROOT);
  }
}
