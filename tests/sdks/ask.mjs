// Runs one SDK's script: `ask.mjs SCRIPT BASE_URL`. Each of its exports is a conversation.
//
// A script exports `connect(baseUrl)`, which makes a client, and functions named as the conversations, which take it.

const [script, baseUrl] = process.argv.slice(2);
const { connect, ...conversations } = await import(`./node/${script}.mjs`);
for (const [name, say] of Object.entries(conversations)) {
  try {
    await say(connect(`${baseUrl}/${name}`));
  } catch (error) {
    // The recorder's refusal comes out as an error of each SDK's own; whether it was one is seen by the
    // request being there or not.
    console.error(`${name}: ${error}`.slice(0, 500));
  }
}
