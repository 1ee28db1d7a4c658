// Gemini on Vertex AI: the same SDK, told another place.

import { GoogleGenAI } from "@google/genai";
import { OAuth2Client } from "google-auth-library";

export * from "./gemini.mjs";

/** @param {string} baseUrl */
export const connect = (baseUrl) => {
  const authClient = new OAuth2Client({ credentials: { access_token: "key" } });
  return new GoogleGenAI({
    vertexai: true,
    project: "my-project",
    location: "us-central1",
    googleAuthOptions: { authClient },
    httpOptions: { baseUrl },
    apiVersion: "v1",
  });
};
