import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { TokenwireProvider } from "tokenwire/react";
import { App } from "./App";
import { server } from "./server";
import "./style.css";

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <TokenwireProvider url={server}>
      <App />
    </TokenwireProvider>
  </StrictMode>,
);
