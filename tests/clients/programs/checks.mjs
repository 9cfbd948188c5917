// What every program of this folder shares; the same as checks.py beside it.

export const given = JSON.parse(process.argv[2]);
export const { url, query, texts, objects } = given;
export const key = "client-canary-secret-5d41402abc4b2a76"; // with CANARY_SECRET of tests/support/canary.py
export const unknown = "no-such-model";
export const limitedModel = "limited/always";
export const once = (client) => `limited/once-${client}`;

export const pairs = (results, score = "relevanceScore") => ({
  pairs: results.map((result) => [result.index, result[score]]),
});

const kinds = (error) => {
  const names = [];
  for (let kind = Object.getPrototypeOf(error); kind; kind = Object.getPrototypeOf(kind)) {
    names.push(kind.constructor.name);
  }
  return [error.name, ...names];
};

const raised = (error) => {
  const cause = error.lastError ?? error;
  const text = `${cause.message} ${JSON.stringify(cause.body ?? null)}`;
  return { raised: [...kinds(error), ...kinds(cause)], status: cause.statusCode ?? null, text };
};

export async function run(checks) {
  const outcomes = {};
  for (const [name, check] of Object.entries(checks)) {
    const warnings = [];
    const keep = (warning) => warnings.push(`${warning.name}: ${warning.message}`);
    process.on("warning", keep);
    try {
      outcomes[name] = (await check()) ?? {};
    } catch (error) {
      outcomes[name] = raised(error);
    }
    await new Promise(setImmediate);
    process.off("warning", keep);
    outcomes[name].warnings = warnings;
  }
  process.stdout.write(JSON.stringify(outcomes));
}
